-- The next of the revocations that count, in pages: Postgres tells of a change between
-- two statements, and would hold its tongue during one long one.
SELECT kind, id, extract(epoch FROM revoked_at)::float8, extract(epoch FROM expires_at)::float8
FROM {schema}.revocations
WHERE (kind, id) > (%(kind)s, %(id)s) AND lifted_at IS NULL AND expires_at > now()
ORDER BY kind, id
LIMIT %(limit)s
