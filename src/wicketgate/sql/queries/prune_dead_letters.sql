-- The oldest rows that are too old, while no other replica is at it.
-- The lock belongs to the transaction, so that a pooler between us does no harm.
WITH turn AS MATERIALIZED (
    SELECT pg_try_advisory_xact_lock(hashtextextended(%(lock)s, 0)) AS is_ours
), old AS (
    SELECT svix_id FROM {schema}.dead_letters
    WHERE (SELECT is_ours FROM turn)
        AND received_at < now() - make_interval(days => %(days)s)
    ORDER BY received_at
    LIMIT %(batch)s
)
DELETE FROM {schema}.dead_letters WHERE svix_id IN (SELECT svix_id FROM old)
