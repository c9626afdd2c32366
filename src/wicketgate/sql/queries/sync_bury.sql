-- Tombstones, as delete_user.sql makes them.
UPDATE {schema}.users SET
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
    clerk_updated_at = %(deleted_at)s,
    event_at = %(deleted_at)s,
    deleted_at = %(deleted_at)s,
    updated_at = now()
WHERE clerk_user_id = ANY(%(ids)s) AND deleted_at IS NULL
