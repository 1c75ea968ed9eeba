-- +goose Up
-- The audit log. An event is written in the transaction it tells of and never changed; the sequencer gives
-- it a leaf in the tenant's RFC 6962 tree. canonical is the exact bytes that are hashed; the columns beside it
-- serve queries and are checked against it by verify.

CREATE TABLE audit_event (
    tenant_id  integer NOT NULL,
    id         uuid NOT NULL,           -- UUIDv7
    at         timestamptz NOT NULL,
    kind       text NOT NULL,
    actor      text NOT NULL,           -- credential or workflow that acted: an id, never a name
    purpose    text NOT NULL,
    subjects   uuid[] NOT NULL,         -- subject ids shown or changed
    canonical  bytea NOT NULL,
    PRIMARY KEY (tenant_id, id)
);
CREATE INDEX audit_event_kind ON audit_event (tenant_id, kind, id); -- an id's beginning is its time
CREATE INDEX audit_event_subjects ON audit_event USING gin (subjects) WITH (fastupdate = on);
SELECT tenant_rows('audit_event', 'SELECT, INSERT');

-- The events that show or change a subject, of the transaction's tenant. Row-level security keeps the index of subjects from the
-- application, because @> is not leakproof; so this runs as the owner and names the tenant itself. A GIN index is read by bitmap
-- only, whatever the transaction says of plans.
-- +goose StatementBegin
CREATE FUNCTION audit_events_of(subject uuid) RETURNS SETOF uuid LANGUAGE sql STABLE SECURITY DEFINER
SET search_path = pg_catalog, public SET enable_bitmapscan = on SET enable_seqscan = off AS $$
    SELECT id FROM audit_event WHERE tenant_id = current_setting('lrshub.tenant')::integer AND subjects @> ARRAY[subject]
$$;
-- +goose StatementEnd
REVOKE ALL ON FUNCTION audit_events_of(uuid) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION audit_events_of(uuid) TO lrshub_app;

-- Events not yet in the tree, so that the sequencer reads only news. hash is the leaf hash as the writer computed it: the
-- tree takes it from here, so bytes altered before they are sequenced are found out all the same.
CREATE TABLE audit_pending (
    tenant_id integer NOT NULL,
    event_id  uuid NOT NULL,
    hash      bytea NOT NULL CHECK (octet_length(hash) = 32),
    PRIMARY KEY (tenant_id, event_id)
) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 10000); -- a queue: emptied all the time
SELECT tenant_rows('audit_pending', 'SELECT, INSERT, DELETE');

CREATE TABLE audit_leaf (
    tenant_id integer NOT NULL,
    index     bigint NOT NULL,          -- from 0
    event_id  uuid NOT NULL,
    PRIMARY KEY (tenant_id, index),
    UNIQUE (tenant_id, event_id)
);
SELECT tenant_rows('audit_leaf', 'SELECT, INSERT');

CREATE TABLE audit_hash (
    tenant_id integer NOT NULL,
    index     bigint NOT NULL,          -- tlog.StoredHashIndex
    hash      bytea NOT NULL CHECK (octet_length(hash) = 32),
    PRIMARY KEY (tenant_id, index)
);
SELECT tenant_rows('audit_hash', 'SELECT, INSERT');

CREATE TABLE audit_checkpoint (
    tenant_id integer NOT NULL,
    size      bigint NOT NULL,
    note      text NOT NULL,            -- C2SP checkpoint, signed; nothing stands here that the signature does not cover
    PRIMARY KEY (tenant_id, size)
);
SELECT tenant_rows('audit_checkpoint', 'SELECT, INSERT');

CREATE TABLE audit_head (
    tenant_id integer PRIMARY KEY,
    size      bigint NOT NULL
);
SELECT tenant_rows('audit_head', 'SELECT, INSERT, UPDATE');

-- What is written stays, for the owner of the tables too: statement triggers, which cost an insert nothing. Whoever
-- removes a whole tenant says so first: SET LOCAL lrshub.maintenance = 'on'. Verify is what finds out those who lie.
-- +goose StatementBegin
CREATE FUNCTION audit_refuse() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF current_setting('lrshub.maintenance', true) IS DISTINCT FROM 'on' THEN
        RAISE EXCEPTION 'the audit log is append-only: % on % refused', TG_OP, TG_TABLE_NAME
            USING ERRCODE = 'insufficient_privilege';
    END IF;
    RETURN NULL;
END $$;

CREATE FUNCTION audit_head_grows() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.size < OLD.size AND current_setting('lrshub.maintenance', true) IS DISTINCT FROM 'on' THEN
        RAISE EXCEPTION 'the audit log is append-only: its head cannot go back from % to %', OLD.size, NEW.size
            USING ERRCODE = 'insufficient_privilege';
    END IF;
    RETURN NEW;
END $$;
-- +goose StatementEnd
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON audit_event FOR EACH STATEMENT EXECUTE FUNCTION audit_refuse();
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON audit_leaf FOR EACH STATEMENT EXECUTE FUNCTION audit_refuse();
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON audit_hash FOR EACH STATEMENT EXECUTE FUNCTION audit_refuse();
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON audit_checkpoint FOR EACH STATEMENT EXECUTE FUNCTION audit_refuse();
CREATE TRIGGER append_only BEFORE DELETE OR TRUNCATE ON audit_head FOR EACH STATEMENT EXECUTE FUNCTION audit_refuse();
CREATE TRIGGER grows BEFORE UPDATE ON audit_head FOR EACH ROW EXECUTE FUNCTION audit_head_grows();
