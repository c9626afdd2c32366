-- Runs that nobody will continue. What one saw a day ago may be gone by now.
DELETE FROM {schema}.sync_runs
WHERE finished_at < now() - interval '30 days'
    OR finished_at IS NULL
        AND instance_id IS NOT DISTINCT FROM %(instance_id)s
        AND (%(restart)s OR started_at < now() - interval '1 day')
