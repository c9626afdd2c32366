SELECT id, started_at, cursor, position, is_listed
FROM {schema}.sync_runs
WHERE finished_at IS NULL AND instance_id IS NOT DISTINCT FROM %(instance_id)s
ORDER BY id DESC
LIMIT 1
