-- One organization as an event tells it; guarded as a user is.
WITH changed AS (
    INSERT INTO {schema}.organizations AS organizations (
        clerk_organization_id, instance_id, name, slug, image_url, public_metadata,
        clerk_created_at, clerk_updated_at, event_at
    ) VALUES (
        %(clerk_organization_id)s, %(instance_id)s, %(name)s, %(slug)s, %(image_url)s,
        %(public_metadata)s, %(clerk_created_at)s, %(clerk_updated_at)s, %(guard_event_at)s
    )
    ON CONFLICT (clerk_organization_id) DO UPDATE SET
        instance_id = coalesce(EXCLUDED.instance_id, organizations.instance_id),
        name = EXCLUDED.name,
        slug = EXCLUDED.slug,
        image_url = EXCLUDED.image_url,
        public_metadata = EXCLUDED.public_metadata,
        clerk_created_at = EXCLUDED.clerk_created_at,
        clerk_updated_at = EXCLUDED.clerk_updated_at,
        event_at = EXCLUDED.event_at,
        updated_at = now()
    WHERE organizations.deleted_at IS NULL
        AND (organizations.clerk_updated_at, organizations.event_at)
            < (EXCLUDED.clerk_updated_at, EXCLUDED.event_at)
    RETURNING 1
)
