-- The guard of the events, and one thing more: what says the same as the row is no
-- change, or every run would write every row.
, changed AS (
    INSERT INTO {schema}.users AS users (
        clerk_user_id, instance_id, external_id, primary_email, primary_email_verified,
        primary_phone, username, first_name, last_name, image_url, public_metadata,
        banned, locked, deprovisioned, clerk_created_at, clerk_updated_at, event_at
    )
    SELECT
        clerk_user_id, instance_id, external_id, primary_email, primary_email_verified,
        primary_phone, username, first_name, last_name, image_url, public_metadata,
        banned, locked, deprovisioned, clerk_created_at, clerk_updated_at, %(event_at)s
    FROM page
    ON CONFLICT (clerk_user_id) DO UPDATE SET
        instance_id = coalesce(EXCLUDED.instance_id, users.instance_id),
        external_id = EXCLUDED.external_id,
        primary_email = EXCLUDED.primary_email,
        primary_email_verified = EXCLUDED.primary_email_verified,
        primary_phone = EXCLUDED.primary_phone,
        username = EXCLUDED.username,
        first_name = EXCLUDED.first_name,
        last_name = EXCLUDED.last_name,
        image_url = EXCLUDED.image_url,
        public_metadata = EXCLUDED.public_metadata,
        banned = EXCLUDED.banned,
        locked = EXCLUDED.locked,
        deprovisioned = EXCLUDED.deprovisioned,
        clerk_created_at = EXCLUDED.clerk_created_at,
        clerk_updated_at = EXCLUDED.clerk_updated_at,
        event_at = EXCLUDED.event_at,
        updated_at = now()
    WHERE users.deleted_at IS NULL
        AND (users.clerk_updated_at, users.event_at)
            < (EXCLUDED.clerk_updated_at, EXCLUDED.event_at)
        AND (
            users.instance_id, users.external_id, users.primary_email,
            users.primary_email_verified, users.primary_phone, users.username,
            users.first_name, users.last_name, users.image_url, users.public_metadata,
            users.banned, users.locked, users.deprovisioned, users.clerk_created_at,
            users.clerk_updated_at
        ) IS DISTINCT FROM (
            coalesce(EXCLUDED.instance_id, users.instance_id), EXCLUDED.external_id,
            EXCLUDED.primary_email, EXCLUDED.primary_email_verified, EXCLUDED.primary_phone,
            EXCLUDED.username, EXCLUDED.first_name, EXCLUDED.last_name, EXCLUDED.image_url,
            EXCLUDED.public_metadata, EXCLUDED.banned, EXCLUDED.locked,
            EXCLUDED.deprovisioned, EXCLUDED.clerk_created_at, EXCLUDED.clerk_updated_at
        )
    -- No transaction has yet replaced a row that was just inserted.
    RETURNING clerk_user_id, xmax = 0 AS is_new
), progress AS (
    UPDATE {schema}.sync_runs
    SET cursor = %(cursor)s, position = %(position)s, is_listed = %(is_listed)s
    WHERE id = %(run_id)s
)
SELECT
    page.clerk_user_id,
    CASE
        WHEN changed.is_new THEN 'created'
        WHEN changed.clerk_user_id IS NOT NULL THEN 'updated'
        WHEN users.deleted_at IS NOT NULL THEN 'buried'
        ELSE 'unchanged'
    END
FROM page
LEFT JOIN changed USING (clerk_user_id)
LEFT JOIN {schema}.users AS users USING (clerk_user_id)
