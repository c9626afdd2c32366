-- What a dry run has seen: in a table of this session, gone with it.
CREATE TEMPORARY TABLE IF NOT EXISTS sync_seen (
    run_id bigint NOT NULL,
    clerk_user_id text NOT NULL,
    PRIMARY KEY (run_id, clerk_user_id)
)
