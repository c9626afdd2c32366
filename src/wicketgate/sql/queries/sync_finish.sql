WITH forgotten AS (
    DELETE FROM {schema}.sync_seen WHERE run_id = %(run_id)s
)
UPDATE {schema}.sync_runs SET finished_at = now() WHERE id = %(run_id)s
