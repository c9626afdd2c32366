SELECT clerk_user_id FROM unseen
WHERE clerk_user_id > %(after)s
ORDER BY clerk_user_id
LIMIT %(limit)s
