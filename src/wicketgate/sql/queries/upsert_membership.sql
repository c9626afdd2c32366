-- One membership as an event tells it; guarded as a user is.
WITH changed AS (
    INSERT INTO {schema}.organization_memberships AS memberships (
        clerk_membership_id, instance_id, clerk_organization_id, clerk_user_id, role,
        public_metadata, clerk_created_at, clerk_updated_at, event_at
    ) VALUES (
        %(clerk_membership_id)s, %(instance_id)s, %(clerk_organization_id)s,
        %(clerk_user_id)s, %(role)s, %(public_metadata)s, %(clerk_created_at)s,
        %(clerk_updated_at)s, %(guard_event_at)s
    )
    ON CONFLICT (clerk_membership_id) DO UPDATE SET
        instance_id = coalesce(EXCLUDED.instance_id, memberships.instance_id),
        clerk_organization_id = EXCLUDED.clerk_organization_id,
        clerk_user_id = EXCLUDED.clerk_user_id,
        role = EXCLUDED.role,
        public_metadata = EXCLUDED.public_metadata,
        clerk_created_at = EXCLUDED.clerk_created_at,
        clerk_updated_at = EXCLUDED.clerk_updated_at,
        event_at = EXCLUDED.event_at,
        updated_at = now()
    WHERE memberships.deleted_at IS NULL
        AND (memberships.clerk_updated_at, memberships.event_at)
            < (EXCLUDED.clerk_updated_at, EXCLUDED.event_at)
    RETURNING 1
)
