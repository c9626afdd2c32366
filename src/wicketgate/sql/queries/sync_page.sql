-- The beginning of a statement about a page of users. A user who is on it twice, because
-- the list moved while it was read, counts once; and the order keeps two writers, who
-- lock rows as they go, from waiting for each other.
WITH page AS (
    SELECT DISTINCT ON (clerk_user_id) *
    FROM jsonb_to_recordset(%(profiles)s) AS profiles (
        clerk_user_id text, instance_id text, external_id text, primary_email text,
        primary_email_verified boolean, primary_phone text, username text, first_name text,
        last_name text, image_url text, public_metadata jsonb, banned boolean, locked boolean,
        deprovisioned boolean, clerk_created_at timestamptz, clerk_updated_at timestamptz
    )
    ORDER BY clerk_user_id, clerk_updated_at DESC
), seen AS (
    INSERT INTO {seen} (run_id, clerk_user_id)
    SELECT %(run_id)s, clerk_user_id FROM page
    ON CONFLICT DO NOTHING
)
