-- One role for each process, with no more rights than it needs.
--
-- To be run by an administrator after each `wicketgate migrate`, as often as you like.
-- The roles cannot log in: make logins of your own and grant them a role, such as
-- GRANT {webhooks} TO the_login_of_the_receiver.

DO $$ BEGIN
    CREATE ROLE {migrator} NOLOGIN;
EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL;
END $$;
DO $$ BEGIN
    CREATE ROLE {webhooks} NOLOGIN;
EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL;
END $$;
DO $$ BEGIN
    CREATE ROLE {sync} NOLOGIN;
EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL;
END $$;
DO $$ BEGIN
    CREATE ROLE {gate} NOLOGIN;
EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL;
END $$;
DO $$ BEGIN
    CREATE ROLE {operator} NOLOGIN;
EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL;
END $$;
DO $$ BEGIN
    CREATE ROLE {reader} NOLOGIN;
EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL;
END $$;

-- wicketgate migrate: owns everything, whoever ran it the first time.
ALTER SCHEMA {schema} OWNER TO {migrator};
DO $$ DECLARE
    found regclass;
BEGIN
    FOR found IN
        SELECT oid FROM pg_class
        WHERE relnamespace = '{schema}'::regnamespace AND relkind = 'r'
    LOOP
        EXECUTE format('ALTER TABLE %s OWNER TO {migrator}', found);
    END LOOP;
END $$;
DO $$ DECLARE
    found regprocedure;
BEGIN
    FOR found IN
        SELECT oid FROM pg_proc WHERE pronamespace = '{schema}'::regnamespace
    LOOP
        EXECUTE format('ALTER FUNCTION %s OWNER TO {migrator}', found);
    END LOOP;
END $$;

-- What an earlier version of this script allowed is not allowed for ever.
REVOKE ALL ON SCHEMA {schema}
    FROM PUBLIC, {webhooks}, {sync}, {gate}, {operator}, {reader};
REVOKE ALL ON ALL TABLES IN SCHEMA {schema}
    FROM PUBLIC, {webhooks}, {sync}, {gate}, {operator}, {reader};
REVOKE REFERENCES (id) ON {schema}.users, {schema}.organizations FROM {reader};

GRANT USAGE ON SCHEMA {schema} TO {webhooks}, {sync}, {gate}, {operator}, {reader};

-- wicketgate webhooks: nobody is ever deleted, only buried; old deliveries are.
GRANT SELECT, INSERT, UPDATE ON {schema}.users TO {webhooks};
GRANT SELECT, INSERT, UPDATE ON {schema}.organizations TO {webhooks};
GRANT SELECT, INSERT, UPDATE ON {schema}.organization_memberships TO {webhooks};
GRANT SELECT, INSERT, UPDATE, DELETE ON {schema}.webhook_deliveries TO {webhooks};
GRANT SELECT, INSERT, UPDATE, DELETE ON {schema}.dead_letters TO {webhooks};
GRANT SELECT, INSERT, UPDATE, DELETE ON {schema}.revocations TO {webhooks};
GRANT SELECT ON {schema}.revocation_terms TO {webhooks};
GRANT SELECT ON {schema}.schema_migrations TO {webhooks};

-- wicketgate sync: the users, what their bans revoke, and its own notes.
GRANT SELECT, INSERT, UPDATE ON {schema}.users TO {sync};
GRANT SELECT, INSERT, UPDATE ON {schema}.revocations TO {sync};
GRANT SELECT ON {schema}.revocation_terms TO {sync};
GRANT SELECT, INSERT, UPDATE, DELETE ON {schema}.sync_runs TO {sync};
GRANT SELECT, INSERT, UPDATE, DELETE ON {schema}.sync_seen TO {sync};
GRANT SELECT ON {schema}.schema_migrations TO {sync};

-- wicketgate authz: what was revoked; and users that it meets before the webhook does.
GRANT SELECT ON {schema}.revocations TO {gate};
GRANT SELECT ON {schema}.revocation_terms TO {gate};
GRANT SELECT ON {schema}.schema_migrations TO {gate};
GRANT SELECT (id, clerk_user_id, deleted_at), INSERT (clerk_user_id)
    ON {schema}.users TO {gate};

-- wicketgate revoke and wicketgate revocations: whoever may lock out users.
GRANT SELECT, INSERT, UPDATE ON {schema}.revocations TO {operator};
GRANT SELECT ON {schema}.revocation_terms TO {operator};
GRANT SELECT ON {schema}.schema_migrations TO {operator};

-- Business services: read, and let their own tables reference an id.
GRANT SELECT ON {schema}.users TO {reader};
GRANT SELECT ON {schema}.organizations TO {reader};
GRANT SELECT ON {schema}.organization_memberships TO {reader};
GRANT REFERENCES (id) ON {schema}.users, {schema}.organizations TO {reader};
