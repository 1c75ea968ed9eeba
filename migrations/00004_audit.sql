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
CREATE INDEX audit_event_kind ON audit_event (tenant_id, kind, at);
CREATE INDEX audit_event_subjects ON audit_event USING gin (subjects) WITH (fastupdate = on);
SELECT tenant_rows('audit_event', 'SELECT, INSERT');

-- Events not yet in the tree, so that the sequencer reads only news.
CREATE TABLE audit_pending (
    tenant_id integer NOT NULL,
    event_id  uuid NOT NULL,
    PRIMARY KEY (tenant_id, event_id)
);
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
    hash      bytea NOT NULL,
    PRIMARY KEY (tenant_id, index)
);
SELECT tenant_rows('audit_hash', 'SELECT, INSERT');

CREATE TABLE audit_checkpoint (
    tenant_id integer NOT NULL,
    size      bigint NOT NULL,
    note      text NOT NULL,            -- C2SP checkpoint, signed
    at        timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant_id, size)
);
SELECT tenant_rows('audit_checkpoint', 'SELECT, INSERT');

CREATE TABLE audit_head (
    tenant_id integer PRIMARY KEY,
    size      bigint NOT NULL
);
SELECT tenant_rows('audit_head', 'SELECT, INSERT, UPDATE');
