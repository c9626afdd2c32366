INSERT INTO {schema}.revocation_terms AS terms (token_life)
VALUES (make_interval(secs => %(seconds)s))
ON CONFLICT (is_the_only_row) DO UPDATE SET token_life = EXCLUDED.token_life
WHERE terms.token_life <> EXCLUDED.token_life
