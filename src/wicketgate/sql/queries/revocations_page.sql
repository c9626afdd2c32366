-- The next of the revocations, in pages: Postgres tells of a change between two
-- statements, and would hold its tongue during one long one.
-- What was lifted is left to the reader. Without statistics Postgres takes it that hardly any
-- row IS NULL, and would sort all of them for each page.
SELECT kind, id, extract(epoch FROM revoked_at)::float8, extract(epoch FROM expires_at)::float8,
    lifted_at IS NOT NULL
FROM {schema}.revocations
WHERE (kind, id) > (%(kind)s, %(id)s) AND expires_at > now()
ORDER BY kind, id
LIMIT %(limit)s
