-- Organizations of Clerk and who belongs to them, kept when they are asked for.
--
-- Nothing references anything: a membership may well arrive before its user and its
-- organization, and an organization may be deleted while its memberships are not yet.

CREATE TABLE {schema}.organizations (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    clerk_organization_id text NOT NULL UNIQUE,
    instance_id text,
    name text,
    slug text,
    image_url text,
    public_metadata jsonb NOT NULL DEFAULT '{}',
    clerk_created_at timestamptz,
    clerk_updated_at timestamptz NOT NULL DEFAULT 'epoch',
    event_at timestamptz NOT NULL DEFAULT 'epoch',
    deleted_at timestamptz,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE {schema}.organization_memberships (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    clerk_membership_id text NOT NULL UNIQUE,
    instance_id text,
    clerk_organization_id text NOT NULL,
    clerk_user_id text NOT NULL,
    role text,
    public_metadata jsonb NOT NULL DEFAULT '{}',
    clerk_created_at timestamptz,
    clerk_updated_at timestamptz NOT NULL DEFAULT 'epoch',
    event_at timestamptz NOT NULL DEFAULT 'epoch',
    deleted_at timestamptz,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now()
);

CREATE INDEX organization_memberships_organization
    ON {schema}.organization_memberships (clerk_organization_id) WHERE deleted_at IS NULL;
CREATE INDEX organization_memberships_user
    ON {schema}.organization_memberships (clerk_user_id) WHERE deleted_at IS NULL;
