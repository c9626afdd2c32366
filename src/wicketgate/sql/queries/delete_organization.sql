-- The tombstone of an organization. Its memberships have events of their own.
WITH changed AS (
    INSERT INTO {schema}.organizations AS organizations (
        clerk_organization_id, instance_id, clerk_updated_at, event_at, deleted_at
    ) VALUES (
        %(clerk_organization_id)s, %(instance_id)s, %(deleted_at)s, %(deleted_at)s,
        %(deleted_at)s
    )
    ON CONFLICT (clerk_organization_id) DO UPDATE SET
        instance_id = coalesce(EXCLUDED.instance_id, organizations.instance_id),
        name = NULL,
        slug = NULL,
        image_url = NULL,
        public_metadata = '{}',
        clerk_created_at = NULL,
        clerk_updated_at = EXCLUDED.clerk_updated_at,
        event_at = EXCLUDED.event_at,
        deleted_at = EXCLUDED.deleted_at,
        updated_at = now()
    WHERE organizations.deleted_at IS NULL
        OR organizations.deleted_at > EXCLUDED.deleted_at
    RETURNING 1
)
