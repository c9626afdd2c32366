-- How far a comparison with Clerk's Backend API got, so that it can be continued.

CREATE TABLE {schema}.sync_runs (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    instance_id text,
    started_at timestamptz NOT NULL DEFAULT now(),
    cursor text,
    position bigint NOT NULL DEFAULT 0,
    is_listed boolean NOT NULL DEFAULT false,
    finished_at timestamptz
);

CREATE TABLE {schema}.sync_seen (
    run_id bigint NOT NULL REFERENCES {schema}.sync_runs (id) ON DELETE CASCADE,
    clerk_user_id text NOT NULL,
    PRIMARY KEY (run_id, clerk_user_id)
);
