-- Rows that say nothing any more, while no other replica is at it. One that somebody writes
-- to is left for the next time, as it may be about to count again.
WITH turn AS MATERIALIZED (
    SELECT pg_try_advisory_xact_lock(hashtextextended(%(lock)s, 0)) AS is_ours
), old AS (
    SELECT kind, id FROM {schema}.revocations
    WHERE (SELECT is_ours FROM turn) AND expires_at <= now()
    ORDER BY expires_at
    LIMIT %(batch)s
    FOR UPDATE SKIP LOCKED
)
DELETE FROM {schema}.revocations
WHERE (kind, id) IN (SELECT kind, id FROM old)
