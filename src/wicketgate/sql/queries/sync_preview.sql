-- What sync_save.sql would do.
SELECT
    page.clerk_user_id,
    CASE
        WHEN users.id IS NULL THEN 'created'
        WHEN users.deleted_at IS NOT NULL THEN 'buried'
        WHEN (users.clerk_updated_at, users.event_at) < (page.clerk_updated_at, %(event_at)s)
            AND (
                users.instance_id, users.external_id, users.primary_email,
                users.primary_email_verified, users.primary_phone, users.username,
                users.first_name, users.last_name, users.image_url, users.public_metadata,
                users.banned, users.locked, users.deprovisioned, users.clerk_created_at,
                users.clerk_updated_at
            ) IS DISTINCT FROM (
                coalesce(page.instance_id, users.instance_id), page.external_id,
                page.primary_email, page.primary_email_verified, page.primary_phone,
                page.username, page.first_name, page.last_name, page.image_url,
                page.public_metadata, page.banned, page.locked, page.deprovisioned,
                page.clerk_created_at, page.clerk_updated_at
            ) THEN 'updated'
        ELSE 'unchanged'
    END
FROM page
LEFT JOIN {schema}.users AS users USING (clerk_user_id)
