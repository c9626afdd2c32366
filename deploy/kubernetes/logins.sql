-- The schema, and a login for each process: once, by an administrator of the database, in it.
--
--     psql "$ADMIN_URL" -v ON_ERROR_STOP=1 -f deploy/kubernetes/logins.sql
--
-- The logins have no password yet, and so cannot be used; psql's \password sets one without writing
-- it anywhere. What they may do comes with the script of `wicketgate migrate --roles`, after the
-- first migration. For another schema replace the name everywhere: the roles are called after it.

DO $$
DECLARE
    process text;
BEGIN
    FOREACH process IN ARRAY ARRAY['migrator', 'webhooks', 'sync', 'gate'] LOOP
        BEGIN
            EXECUTE format('CREATE ROLE %I NOLOGIN', 'wicketgate_' || process);
        EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL;
        END;
        BEGIN
            EXECUTE format('CREATE ROLE %I LOGIN', 'wicketgate_' || process || '_login');
        EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL;
        END;
        EXECUTE format('GRANT %I TO %I', 'wicketgate_' || process, 'wicketgate_' || process || '_login');
        EXECUTE format(
            'GRANT CONNECT ON DATABASE %I TO %I', current_database(), 'wicketgate_' || process || '_login'
        );
    END LOOP;
END $$;

-- The administrator of a managed Postgres is no superuser: the next script alters what is the role's.
-- Before what follows, which otherwise warns that the administrator is no member of it.
GRANT wicketgate_migrator TO CURRENT_USER;

-- What it makes belongs to the role, and not to the login.
ALTER ROLE wicketgate_migrator_login SET role = wicketgate_migrator;

-- Made here, so that nobody needs the right to make schemas.
CREATE SCHEMA IF NOT EXISTS wicketgate AUTHORIZATION wicketgate_migrator;
