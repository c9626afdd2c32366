SELECT FROM {schema}.revocation_terms
WHERE token_life = make_interval(secs => %(seconds)s)
