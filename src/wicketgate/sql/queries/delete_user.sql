-- The tombstone of a user: the ids stay, the person goes, and nothing brings it back.
-- It looks the same whatever came before it, and the earliest word about it is kept.
WITH changed AS (
    INSERT INTO {schema}.users AS users (
        clerk_user_id, instance_id, clerk_updated_at, event_at, deleted_at
    ) VALUES (
        %(clerk_user_id)s, %(instance_id)s, %(deleted_at)s, %(deleted_at)s, %(deleted_at)s
    )
    ON CONFLICT (clerk_user_id) DO UPDATE SET
        instance_id = coalesce(EXCLUDED.instance_id, users.instance_id),
        external_id = NULL,
        primary_email = NULL,
        primary_email_verified = false,
        primary_phone = NULL,
        username = NULL,
        first_name = NULL,
        last_name = NULL,
        image_url = NULL,
        public_metadata = '{}',
        banned = false,
        locked = false,
        deprovisioned = false,
        clerk_created_at = NULL,
        clerk_updated_at = EXCLUDED.clerk_updated_at,
        event_at = EXCLUDED.event_at,
        deleted_at = EXCLUDED.deleted_at,
        updated_at = now()
    WHERE users.deleted_at IS NULL OR users.deleted_at > EXCLUDED.deleted_at
    RETURNING 1
)
