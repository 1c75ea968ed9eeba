-- +goose Up
-- Statements. What identifies a person, or might, is inside frame (sealed under the actor's key) or in
-- statement_agent (sealed under each agent's own key); clear columns carry the index, the counting and the policy.

CREATE TABLE verb (
    tenant_id integer NOT NULL,
    id        integer GENERATED ALWAYS AS IDENTITY,
    iri       text NOT NULL,
    PRIMARY KEY (tenant_id, iri)
);
CREATE INDEX verb_id ON verb (tenant_id, id);
SELECT tenant_rows('verb', 'SELECT, INSERT, DELETE');

-- Activities whose id may stand in clear. All activities are found by key; only these have their IRI here.
CREATE TABLE activity (
    tenant_id  integer NOT NULL,
    key        uuid NOT NULL,           -- blind index of the IRI: HMAC-SHA-256 under the tenant's index key, first 16 bytes
    iri        text NOT NULL,
    definition text,                    -- JSON as sent: jsonb would refuse \u0000 and change numbers
    PRIMARY KEY (tenant_id, key)
);
SELECT tenant_rows('activity', 'SELECT, INSERT, UPDATE, DELETE');

CREATE TABLE statement (
    tenant_id    integer NOT NULL,
    id           uuid NOT NULL,
    seq          bigint NOT NULL,       -- position in the store: microseconds of statement_clock()
    xid          xid8 NOT NULL DEFAULT pg_current_xact_id(), -- readers page below their snapshot's xmin
    stored       timestamptz NOT NULL,
    "timestamp"  timestamptz NOT NULL,
    actor        uuid NOT NULL,         -- subject
    authority    uuid NOT NULL,         -- subject
    verb         integer NOT NULL,
    object_kind  smallint NOT NULL,     -- xapi.ObjectKind
    object       uuid,                  -- activity: its blind key; agent or group: its subject; StatementRef: its target
    registration uuid,
    score_scaled double precision,
    score_raw    double precision,
    score_min    double precision,
    score_max    double precision,
    success      boolean,
    completion   boolean,
    duration     double precision,      -- seconds; the text as sent is in the frame
    version      smallint NOT NULL,     -- xapi.Version
    purpose      integer NOT NULL,
    connection_id uuid,                 -- the connection that made it; null for an xAPI client's
    frame        bytea NOT NULL,        -- the statement as sent, other agents cut out, sealed under the actor's learning key
    digest       bytea NOT NULL,        -- records.Digest: keyed, of content and of timestamp; answers a repeated or conflicting id
    PRIMARY KEY (tenant_id, id)
);
CREATE INDEX statement_stored ON statement (tenant_id, stored, seq);
CREATE INDEX statement_actor ON statement (tenant_id, actor, stored);
CREATE INDEX statement_verb ON statement (tenant_id, verb, stored);
CREATE INDEX statement_object ON statement (tenant_id, object, stored) WHERE object IS NOT NULL;
CREATE INDEX statement_registration ON statement (tenant_id, registration, stored) WHERE registration IS NOT NULL;
SELECT tenant_rows('statement', 'SELECT, INSERT, DELETE');

-- Every other agent of a statement, in the place where it was cut out of the frame.
CREATE TABLE statement_agent (
    tenant_id    integer NOT NULL,
    statement_id uuid NOT NULL,
    slot         smallint NOT NULL,
    subject_id   uuid NOT NULL,
    role         smallint NOT NULL,     -- xapi.Role
    direct       boolean NOT NULL,      -- matches xAPI's agent filter without related_agents (object, member of actor or object)
    stored       timestamptz NOT NULL,
    sealed       bytea NOT NULL,        -- the agent as sent, under that subject's learning key
    PRIMARY KEY (tenant_id, statement_id, slot)
);
CREATE INDEX statement_agent_subject ON statement_agent (tenant_id, subject_id, stored);
SELECT tenant_rows('statement_agent', 'SELECT, INSERT, UPDATE, DELETE');

-- Activities of a statement other than its object, for related_activities.
CREATE TABLE statement_activity (
    tenant_id    integer NOT NULL,
    statement_id uuid NOT NULL,
    key          uuid NOT NULL,
    role         smallint NOT NULL,     -- xapi.ActivityRole
    stored       timestamptz NOT NULL,
    PRIMARY KEY (tenant_id, key, statement_id, role)
);
CREATE INDEX statement_activity_statement ON statement_activity (tenant_id, statement_id);
SELECT tenant_rows('statement_activity', 'SELECT, INSERT, DELETE');

CREATE TABLE voiding (
    tenant_id    integer NOT NULL,
    target       uuid NOT NULL,         -- the voided statement
    statement_id uuid NOT NULL,         -- the statement that voids it
    PRIMARY KEY (tenant_id, target)
);
CREATE UNIQUE INDEX voiding_statement ON voiding (tenant_id, statement_id);
SELECT tenant_rows('voiding', 'SELECT, INSERT, DELETE');

-- An erased statement's id answers a repeated POST as if it were stored, and stores nothing.
CREATE TABLE statement_tombstone (
    tenant_id integer NOT NULL,
    id        uuid NOT NULL,
    seq       bigint NOT NULL,
    digest    bytea NOT NULL,
    PRIMARY KEY (tenant_id, id)
);
SELECT tenant_rows('statement_tombstone', 'SELECT, INSERT');

-- statement_clock reserves n positions. Transaction id and position are taken under one short lock, so a
-- later position never belongs to an earlier transaction: a reader below its snapshot's xmin, in the order
-- of stored, misses no late committer. It must come before the transaction's first write.
CREATE SEQUENCE statement_clock_seq AS bigint;
-- +goose StatementBegin
CREATE FUNCTION statement_clock(n bigint) RETURNS bigint LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE first bigint;
BEGIN
    IF pg_current_xact_id_if_assigned() IS NOT NULL THEN
        RAISE EXCEPTION 'statement_clock must be called before the transaction writes';
    END IF;
    PERFORM pg_advisory_lock(7723018);
    PERFORM pg_current_xact_id();
    SELECT greatest((extract(epoch FROM clock_timestamp()) * 1e6)::bigint, last_value + 1) INTO first FROM statement_clock_seq;
    PERFORM setval('statement_clock_seq', first + greatest(n, 1) - 1);
    PERFORM pg_advisory_unlock(7723018);
    RETURN first;
END $$;
-- +goose StatementEnd
REVOKE ALL ON FUNCTION statement_clock(bigint) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION statement_clock(bigint) TO lrshub_app;
