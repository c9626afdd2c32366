-- The beginning of every question about rows that were there before the run. A row whose
-- instance nobody told us may be of any.
WITH live AS NOT MATERIALIZED (
    SELECT clerk_user_id
    FROM {schema}.users
    WHERE deleted_at IS NULL
        AND created_at < %(started_at)s
        AND (
            %(instance_id)s::text IS NULL
            OR instance_id IS NULL
            OR instance_id = %(instance_id)s
        )
), unseen AS NOT MATERIALIZED (
    SELECT clerk_user_id
    FROM live
    WHERE NOT EXISTS (
        SELECT FROM {seen} AS seen
        WHERE seen.run_id = %(run_id)s AND seen.clerk_user_id = live.clerk_user_id
    )
)
