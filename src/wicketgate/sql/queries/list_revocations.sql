-- What is in the table, last changed first: all of it, or what counts.
SELECT kind, id, revoked_at, expires_at, reason, source, lifted_at, expires_at > now()
FROM {schema}.revocations
WHERE %(is_all)s OR lifted_at IS NULL AND expires_at > now()
ORDER BY changed_at DESC, kind, id
