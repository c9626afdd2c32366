-- Users and sessions whose tokens no longer count, and word of them to every gate.
--
-- Triggers write and tell, and not the statements: whatever bans or buries a user, be it
-- a webhook, a comparison with Clerk or an operator with psql, revokes in the same
-- transaction.

-- How long a token may live. `wicketgate migrate` sets it, gates look at it.
CREATE TABLE {schema}.revocation_terms (
    is_the_only_row boolean PRIMARY KEY DEFAULT true CHECK (is_the_only_row),
    token_life interval NOT NULL DEFAULT '1 day' CHECK (token_life > interval '0')
);
INSERT INTO {schema}.revocation_terms DEFAULT VALUES;

-- A row counts while it is not lifted and `expires_at` is to come.
CREATE TABLE {schema}.revocations (
    kind text NOT NULL CHECK (kind IN ('user', 'session')),
    id text NOT NULL CHECK (length(id) BETWEEN 1 AND 128),
    -- Tokens of a user issued up to this moment, by Clerk's clock, are refused. Those of a
    -- session are refused whenever they were issued.
    revoked_at timestamptz NOT NULL CHECK (isfinite(revoked_at)),
    -- No token from before can be valid after this.
    expires_at timestamptz NOT NULL CHECK (isfinite(expires_at)),
    reason text NOT NULL CHECK (length(reason) <= 200),
    -- What an operator revoked, only an operator lifts.
    source text NOT NULL CHECK (source IN ('clerk', 'operator')),
    lifted_at timestamptz,
    -- For gates that look for what they may have missed.
    changed_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (kind, id)
);

CREATE INDEX revocations_changed_at ON {schema}.revocations (changed_at);
CREATE INDEX revocations_expires_at ON {schema}.revocations (expires_at);

-- Until when the tokens matter that were issued up to `moment`. Ten minutes are for clocks
-- that differ, the five that a gate may be told to tolerate among them.
CREATE FUNCTION {schema}.revocation_end(moment timestamptz) RETURNS timestamptz
LANGUAGE sql STABLE AS $$
    SELECT moment + interval '10 minutes'
        + coalesce((SELECT token_life FROM {schema}.revocation_terms), interval '1 day')
$$;

-- Whatever comes again or late is merged, and what could concern no valid token any more
-- is left out. A row that was lifted says nothing any more, and is replaced.
CREATE FUNCTION {schema}.revoke(
    revoked_kind text, revoked_id text, moment timestamptz, why text, by_whom text
) RETURNS void LANGUAGE sql AS $$
    INSERT INTO {schema}.revocations AS revocations
        (kind, id, revoked_at, expires_at, reason, source)
    SELECT revoked_kind, revoked_id, until.moment, {schema}.revocation_end(until.moment),
        why, by_whom
    FROM (
        SELECT CASE
            -- A clock of Clerk's that is far ahead would refuse tokens yet to be issued.
            WHEN by_whom = 'clerk' THEN least(revoke.moment, now() + interval '10 minutes')
            ELSE revoke.moment
        END AS moment
    ) AS until
    WHERE {schema}.revocation_end(until.moment) > now()
    ON CONFLICT (kind, id) DO UPDATE SET
        revoked_at = CASE WHEN revocations.lifted_at IS NULL
            THEN greatest(revocations.revoked_at, EXCLUDED.revoked_at)
            ELSE EXCLUDED.revoked_at END,
        expires_at = CASE WHEN revocations.lifted_at IS NULL
            THEN greatest(revocations.expires_at, EXCLUDED.expires_at)
            ELSE EXCLUDED.expires_at END,
        reason = CASE
            WHEN revocations.lifted_at IS NULL AND revocations.expires_at > now()
                AND revocations.source > EXCLUDED.source
            THEN revocations.reason ELSE EXCLUDED.reason END,
        source = CASE
            WHEN revocations.lifted_at IS NULL AND revocations.expires_at > now()
            THEN greatest(revocations.source, EXCLUDED.source) ELSE EXCLUDED.source END,
        lifted_at = NULL
    WHERE revocations.lifted_at IS NOT NULL
        OR revocations.revoked_at < EXCLUDED.revoked_at
        OR revocations.expires_at < EXCLUDED.expires_at
        OR revocations.source < EXCLUDED.source
$$;

-- Whoever changes a row need not remember to say when.
CREATE FUNCTION {schema}.stamp_revocation() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.changed_at := clock_timestamp();
    RETURN NEW;
END
$$;

CREATE TRIGGER revocations_stamp BEFORE UPDATE ON {schema}.revocations
    FOR EACH ROW EXECUTE FUNCTION {schema}.stamp_revocation();

-- The whole row is told, and to be put in the place of what was known. `changed_at` makes
-- each change another text: of texts that are equal Postgres tells only the first of a
-- transaction, and what was revoked, lifted and revoked again would end as lifted.
CREATE FUNCTION {schema}.tell_revocation() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    told {schema}.revocations := CASE TG_OP WHEN 'DELETE' THEN OLD ELSE NEW END;
BEGIN
    -- When a stranger who listens and does not read has filled the queue of the server,
    -- COMMIT fails. Revoking is more important than telling: gates also look.
    IF pg_notification_queue_usage() < 0.5 THEN
        PERFORM pg_notify('wicketgate_revocations', json_build_object(
            'schema', TG_TABLE_SCHEMA,
            'kind', told.kind,
            'id', told.id,
            'revoked_at', extract(epoch FROM told.revoked_at),
            'expires_at', extract(epoch FROM told.expires_at),
            'is_lifted', TG_OP = 'DELETE' OR told.lifted_at IS NOT NULL,
            'changed_at', extract(epoch FROM told.changed_at)
        )::text);
    END IF;
    RETURN NULL;
END
$$;

CREATE TRIGGER revocations_tell AFTER INSERT OR UPDATE ON {schema}.revocations
    FOR EACH ROW EXECUTE FUNCTION {schema}.tell_revocation();

-- What has expired is forgotten silently; what counts may be deleted with psql.
CREATE TRIGGER revocations_tell_deleted AFTER DELETE ON {schema}.revocations FOR EACH ROW
    WHEN (OLD.lifted_at IS NULL AND OLD.expires_at > now())
    EXECUTE FUNCTION {schema}.tell_revocation();

ALTER TABLE {schema}.users ADD COLUMN deprovisioned boolean NOT NULL DEFAULT false;

CREATE FUNCTION {schema}.revocation_reason(who {schema}.users) RETURNS text
LANGUAGE sql IMMUTABLE AS $$
    SELECT CASE
        WHEN who.deleted_at IS NOT NULL THEN 'deleted'
        WHEN who.banned THEN 'banned'
        WHEN who.locked THEN 'locked'
        WHEN who.deprovisioned THEN 'deprovisioned'
    END
$$;

-- Each newer word revokes, and not only the first: between two of them there may have been
-- one that readmitted the user, and that comes too late.
CREATE FUNCTION {schema}.follow_user() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    why text := {schema}.revocation_reason(NEW);
    -- Clerk's clock says when.
    told_at timestamptz := greatest(NEW.clerk_updated_at, NEW.event_at, NEW.deleted_at);
BEGIN
    IF why IS NULL THEN
        UPDATE {schema}.revocations SET lifted_at = now()
        WHERE kind = 'user' AND id = NEW.clerk_user_id AND source = 'clerk'
            AND lifted_at IS NULL AND expires_at > now();
        RETURN NULL;
    END IF;
    IF TG_OP = 'UPDATE' THEN
        IF (NEW.clerk_updated_at, NEW.event_at) = (OLD.clerk_updated_at, OLD.event_at) THEN
            -- Changed by hand, which says nothing of when.
            told_at := 'epoch';
            IF NOT (
                NEW.banned > OLD.banned
                OR NEW.locked > OLD.locked
                OR NEW.deprovisioned > OLD.deprovisioned
                OR (NEW.deleted_at IS NOT NULL) > (OLD.deleted_at IS NOT NULL)
            ) THEN
                RETURN NULL;
            END IF;
        END IF;
    END IF;
    IF told_at = 'epoch' THEN
        -- The clock's and not the transaction's time, which may have begun long ago, and as
        -- much later as Clerk's clock may be ahead: no token from before is to pass.
        told_at := clock_timestamp() + interval '5 seconds';
    END IF;
    PERFORM {schema}.revoke('user', NEW.clerk_user_id, told_at, why, 'clerk');
    RETURN NULL;
END
$$;

-- Short conditions: Postgres reads them anew for each statement, also when nobody is refused.
CREATE TRIGGER users_follow_new AFTER INSERT ON {schema}.users FOR EACH ROW
    WHEN (NEW.banned OR NEW.locked OR NEW.deprovisioned OR NEW.deleted_at IS NOT NULL)
    EXECUTE FUNCTION {schema}.follow_user();

CREATE TRIGGER users_follow AFTER UPDATE ON {schema}.users FOR EACH ROW
    WHEN (
        NEW.banned OR NEW.locked OR NEW.deprovisioned OR NEW.deleted_at IS NOT NULL
        OR OLD.banned OR OLD.locked OR OLD.deprovisioned
    )
    EXECUTE FUNCTION {schema}.follow_user();

-- Whose tokens may still be valid, of those who were refused before this step.
SELECT {schema}.revoke(
    'user', clerk_user_id, greatest(clerk_updated_at, event_at, deleted_at),
    {schema}.revocation_reason(users), 'clerk'
)
FROM {schema}.users AS users
WHERE deleted_at IS NOT NULL OR banned OR locked;
