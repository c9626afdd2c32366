SELECT kind, id, revoked_at, expires_at, reason, source, lifted_at, expires_at > now()
FROM {schema}.revocations
WHERE kind = %(kind)s AND id = %(id)s
