-- The end of a statement whose beginning changed a row, or left it alone.
INSERT INTO {schema}.webhook_deliveries AS deliveries (svix_id, type, outcome, event_at)
SELECT %(svix_id)s, %(type)s,
    CASE WHEN EXISTS (SELECT FROM changed) THEN 'applied' ELSE 'stale' END, %(event_at)s
ON CONFLICT (svix_id) DO UPDATE SET
    attempts = deliveries.attempts + 1,
    last_received_at = now(),
    -- A duplicate is stale, but its delivery was applied once and stays so.
    outcome = CASE EXCLUDED.outcome
        WHEN 'stale' THEN deliveries.outcome ELSE EXCLUDED.outcome END
RETURNING EXISTS (SELECT FROM changed)
