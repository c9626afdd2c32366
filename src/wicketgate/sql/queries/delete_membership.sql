-- The tombstone of a membership. Whoever joins again gets a membership with a new id.
WITH changed AS (
    INSERT INTO {schema}.organization_memberships AS memberships (
        clerk_membership_id, instance_id, clerk_organization_id, clerk_user_id,
        clerk_updated_at, event_at, deleted_at
    ) VALUES (
        %(clerk_membership_id)s, %(instance_id)s, %(clerk_organization_id)s,
        %(clerk_user_id)s, %(deleted_at)s, %(deleted_at)s, %(deleted_at)s
    )
    ON CONFLICT (clerk_membership_id) DO UPDATE SET
        instance_id = coalesce(EXCLUDED.instance_id, memberships.instance_id),
        clerk_organization_id = EXCLUDED.clerk_organization_id,
        clerk_user_id = EXCLUDED.clerk_user_id,
        role = NULL,
        public_metadata = '{}',
        clerk_created_at = NULL,
        clerk_updated_at = EXCLUDED.clerk_updated_at,
        event_at = EXCLUDED.event_at,
        deleted_at = EXCLUDED.deleted_at,
        updated_at = now()
    WHERE memberships.deleted_at IS NULL
        OR memberships.deleted_at > EXCLUDED.deleted_at
    RETURNING 1
)
