SELECT FROM {schema}.revoke(
    %(kind)s, %(id)s, now() + make_interval(secs => %(ahead_seconds)s), %(reason)s, 'operator'
)
