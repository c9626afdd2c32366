-- The rows of users, made for those who have none. The guard of a row that holds an id
-- alone is older than everything, so the first webhook fills it; a tombstone stays one.
WITH asked AS (
    SELECT unnest(%(clerk_user_ids)s::text[]) AS clerk_user_id
), found AS (
    SELECT clerk_user_id, users.id, users.deleted_at
    FROM asked
    JOIN {schema}.users AS users USING (clerk_user_id)
), made AS (
    INSERT INTO {schema}.users (clerk_user_id)
    SELECT clerk_user_id
    FROM asked
    WHERE NOT EXISTS (SELECT FROM found WHERE found.clerk_user_id = asked.clerk_user_id)
    -- In one order, no two statements wait for each other.
    ORDER BY clerk_user_id
    -- Somebody else makes it at this moment. It is not to be seen before the next statement.
    ON CONFLICT (clerk_user_id) DO NOTHING
    RETURNING clerk_user_id, id
)
SELECT clerk_user_id, id::text, false AS is_new, deleted_at IS NOT NULL AS is_buried FROM found
UNION ALL
SELECT clerk_user_id, id::text, true, false FROM made
