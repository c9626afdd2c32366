-- Users as events tell them, and what became of the deliveries: one statement, so that
-- either all of it is durable or nothing. No user and no delivery is there twice.
WITH arrived AS (
    SELECT *, coalesce(event_at, 'epoch') AS guard_event_at
    FROM jsonb_to_recordset(%(deliveries)s) AS deliveries (
        svix_id text, type text, event_at timestamptz,
        clerk_user_id text, instance_id text, external_id text, primary_email text,
        primary_email_verified boolean, primary_phone text, username text, first_name text,
        last_name text, image_url text, public_metadata jsonb, banned boolean, locked boolean,
        deprovisioned boolean, clerk_created_at timestamptz, clerk_updated_at timestamptz
    )
), changed AS (
    INSERT INTO {schema}.users AS users (
        clerk_user_id, instance_id, external_id, primary_email, primary_email_verified,
        primary_phone, username, first_name, last_name, image_url, public_metadata,
        banned, locked, deprovisioned, clerk_created_at, clerk_updated_at, event_at
    )
    SELECT
        clerk_user_id, instance_id, external_id, primary_email, primary_email_verified,
        primary_phone, username, first_name, last_name, image_url, public_metadata,
        banned, locked, deprovisioned, clerk_created_at, clerk_updated_at, guard_event_at
    FROM arrived
    -- Rows are locked as they come: in one order, no two statements wait for each other.
    ORDER BY clerk_user_id
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
    RETURNING clerk_user_id
), noted AS (
    INSERT INTO {schema}.webhook_deliveries AS deliveries (svix_id, type, outcome, event_at)
    SELECT
        svix_id, type,
        CASE WHEN changed.clerk_user_id IS NULL THEN 'stale' ELSE 'applied' END, event_at
    FROM arrived
    LEFT JOIN changed USING (clerk_user_id)
    ON CONFLICT (svix_id) DO UPDATE SET
        attempts = deliveries.attempts + 1,
        last_received_at = now(),
        -- A duplicate is stale, but its delivery was applied once and stays so.
        outcome = CASE EXCLUDED.outcome
            WHEN 'stale' THEN deliveries.outcome ELSE EXCLUDED.outcome END
)
SELECT svix_id, changed.clerk_user_id IS NOT NULL
FROM arrived
LEFT JOIN changed USING (clerk_user_id)
