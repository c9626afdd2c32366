-- Users of Clerk, for business tables to reference, and what became of each delivery.

CREATE TABLE {schema}.users (
    -- What business tables reference. Clerk's own id is unique too, but it is Clerk's.
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    clerk_user_id text NOT NULL UNIQUE,
    instance_id text,
    external_id text,
    -- Never unique: Clerk promises that for now, not for the past, and two users may
    -- swap addresses in two events that arrive in the wrong order.
    primary_email text,
    primary_email_verified boolean NOT NULL DEFAULT false,
    primary_phone text,
    username text,
    first_name text,
    last_name text,
    image_url text,
    public_metadata jsonb NOT NULL DEFAULT '{}',
    banned boolean NOT NULL DEFAULT false,
    locked boolean NOT NULL DEFAULT false,
    clerk_created_at timestamptz,
    -- The guard: a row gives way to a greater (clerk_updated_at, event_at) only. The
    -- defaults are older than everything, so a row that holds an id alone is filled later.
    clerk_updated_at timestamptz NOT NULL DEFAULT 'epoch',
    event_at timestamptz NOT NULL DEFAULT 'epoch',
    -- A tombstone: set once, never taken back. Clerk does not use an id twice.
    deleted_at timestamptz,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now()
);

CREATE INDEX users_primary_email ON {schema}.users (lower(primary_email))
    WHERE deleted_at IS NULL;

CREATE TABLE {schema}.webhook_deliveries (
    svix_id text PRIMARY KEY,
    type text NOT NULL,
    outcome text NOT NULL
        CHECK (outcome IN ('applied', 'stale', 'recorded', 'ignored', 'dead')),
    attempts integer NOT NULL DEFAULT 1,
    event_at timestamptz,
    received_at timestamptz NOT NULL DEFAULT now(),
    last_received_at timestamptz NOT NULL DEFAULT now()
);

-- For pruning.
CREATE INDEX webhook_deliveries_received_at ON {schema}.webhook_deliveries (received_at);

-- Without the body: it holds personal data and private metadata. Svix keeps it under
-- the same id, and sends it again when it is asked to.
CREATE TABLE {schema}.dead_letters (
    svix_id text PRIMARY KEY,
    type text NOT NULL,
    why text NOT NULL,
    attempts integer NOT NULL DEFAULT 1,
    received_at timestamptz NOT NULL DEFAULT now()
);
