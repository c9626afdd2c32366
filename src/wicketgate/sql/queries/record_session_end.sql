-- The end of a session, and the note of its delivery: one statement, both or neither.
INSERT INTO {schema}.webhook_deliveries AS deliveries (svix_id, type, outcome, event_at)
SELECT %(svix_id)s, %(type)s, %(outcome)s, %(event_at)s
-- Here and not among the columns: what is not needed for a row is not called.
FROM {schema}.revoke(
    'session', %(session_id)s, coalesce(%(event_at)s, now()), %(reason)s, 'clerk'
)
ON CONFLICT (svix_id) DO UPDATE SET
    attempts = deliveries.attempts + 1,
    last_received_at = now(),
    outcome = EXCLUDED.outcome
