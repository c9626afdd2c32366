-- A delivery that changes no row of its own.
INSERT INTO {schema}.webhook_deliveries AS deliveries (svix_id, type, outcome, event_at)
VALUES (%(svix_id)s, %(type)s, %(outcome)s, %(event_at)s)
ON CONFLICT (svix_id) DO UPDATE SET
    attempts = deliveries.attempts + 1,
    last_received_at = now(),
    outcome = EXCLUDED.outcome
