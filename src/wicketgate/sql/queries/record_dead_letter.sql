-- A delivery that can never be applied. Its body is not kept; Svix has it.
WITH letter AS (
    INSERT INTO {schema}.dead_letters AS letters (svix_id, type, why)
    VALUES (%(svix_id)s, %(type)s, %(why)s)
    ON CONFLICT (svix_id) DO UPDATE SET
        attempts = letters.attempts + 1, why = EXCLUDED.why
)
INSERT INTO {schema}.webhook_deliveries AS deliveries (svix_id, type, outcome, event_at)
VALUES (%(svix_id)s, %(type)s, 'dead', %(event_at)s)
ON CONFLICT (svix_id) DO UPDATE SET
    attempts = deliveries.attempts + 1,
    last_received_at = now(),
    outcome = EXCLUDED.outcome
