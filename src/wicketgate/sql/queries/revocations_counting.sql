-- Which of these revocations count.
SELECT kind, id, extract(epoch FROM revoked_at)::float8, extract(epoch FROM expires_at)::float8,
    lifted_at IS NOT NULL
FROM {schema}.revocations
WHERE lifted_at IS NULL AND expires_at > now()
    AND (kind, id) IN (SELECT * FROM unnest(%(kinds)s::text[], %(ids)s::text[]))
