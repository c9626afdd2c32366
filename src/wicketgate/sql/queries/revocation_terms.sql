-- How long a token may live for its revocation to be kept until it ends, in seconds.
SELECT extract(epoch FROM token_life)::float8 FROM {schema}.revocation_terms
