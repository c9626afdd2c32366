-- After tokens were allowed a longer life. Those that had expired count again, because a
-- token that was too long until now may be of their time.
UPDATE {schema}.revocations
SET expires_at = {schema}.revocation_end(revoked_at), changed_at = clock_timestamp()
WHERE lifted_at IS NULL AND expires_at < {schema}.revocation_end(revoked_at)
