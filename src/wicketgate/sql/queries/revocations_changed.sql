-- The next of the revocations that changed after a moment, those that were lifted among them.
SELECT kind, id, extract(epoch FROM revoked_at)::float8, extract(epoch FROM expires_at)::float8,
    lifted_at IS NOT NULL, changed_at
FROM {schema}.revocations
WHERE (changed_at, kind, id) > (%(changed_at)s, %(kind)s, %(id)s) AND expires_at > now()
ORDER BY changed_at, kind, id
LIMIT %(limit)s
