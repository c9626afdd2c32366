INSERT INTO {schema}.sync_runs (instance_id) VALUES (%(instance_id)s)
RETURNING id, started_at, cursor, position, is_listed
