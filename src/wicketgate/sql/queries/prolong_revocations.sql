-- After tokens were allowed a longer life. Those that had expired count again, because a
-- token that was too long until now may be of their time.
UPDATE {schema}.revocations
SET expires_at = {schema}.revocation_end(revoked_at)
WHERE lifted_at IS NULL AND expires_at < {schema}.revocation_end(revoked_at)
