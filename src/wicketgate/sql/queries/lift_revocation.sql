-- Whoever lifted it first has lifted it.
UPDATE {schema}.revocations SET lifted_at = now()
WHERE kind = %(kind)s AND id = %(id)s AND lifted_at IS NULL AND expires_at > now()
RETURNING kind, id, revoked_at, expires_at, reason, source, lifted_at, true
