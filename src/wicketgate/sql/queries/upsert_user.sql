-- One user as an event tells it, and what became of the delivery: one statement, so
-- that either both are durable or neither is.
WITH changed AS (
    INSERT INTO {schema}.users AS users (
        clerk_user_id, instance_id, external_id, primary_email, primary_email_verified,
        primary_phone, username, first_name, last_name, image_url, public_metadata,
        banned, locked, clerk_created_at, clerk_updated_at, event_at
    ) VALUES (
        %(clerk_user_id)s, %(instance_id)s, %(external_id)s, %(primary_email)s,
        %(primary_email_verified)s, %(primary_phone)s, %(username)s, %(first_name)s,
        %(last_name)s, %(image_url)s, %(public_metadata)s, %(banned)s, %(locked)s,
        %(clerk_created_at)s, %(clerk_updated_at)s, %(guard_event_at)s
    )
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
        clerk_created_at = EXCLUDED.clerk_created_at,
        clerk_updated_at = EXCLUDED.clerk_updated_at,
        event_at = EXCLUDED.event_at,
        updated_at = now()
    WHERE users.deleted_at IS NULL
        AND (users.clerk_updated_at, users.event_at)
            < (EXCLUDED.clerk_updated_at, EXCLUDED.event_at)
    RETURNING 1
)
