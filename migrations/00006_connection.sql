-- +goose Up
-- Connections to source systems, and what is known of each of their records.

CREATE TABLE connection (
    tenant_id  integer NOT NULL,
    id         uuid NOT NULL,
    name       text NOT NULL,
    connector  text NOT NULL,
    checksum   text NOT NULL DEFAULT '', -- SHA-256 that a third-party binary is pinned to; empty: built in
    config     bytea NOT NULL,          -- JSON, sealed under the tenant's key: it may name hosts, folders, accounts
    purpose    text NOT NULL,
    schedule   text NOT NULL DEFAULT '', -- interval such as 15m; empty: on demand
    state      text NOT NULL DEFAULT 'active' CHECK (state IN ('active', 'paused', 'removed')),
    mapping    integer NOT NULL,        -- version in force
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant_id, id)
);
CREATE UNIQUE INDEX connection_name ON connection (tenant_id, name) WHERE state <> 'removed';
SELECT tenant_rows('connection', 'SELECT, INSERT, UPDATE, DELETE');

CREATE TABLE connection_mapping (
    tenant_id     integer NOT NULL,
    connection_id uuid NOT NULL,
    version       integer NOT NULL,
    document      text NOT NULL,        -- YAML as given
    streams       jsonb NOT NULL,       -- in the order of reading: name, fields that the mapping names, streams that it looks up
    created_at    timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant_id, connection_id, version)
);
SELECT tenant_rows('connection_mapping', 'SELECT, INSERT, DELETE');

-- One run a connection at a time: whoever holds the lease. A run that outlived its lease commits nothing.
CREATE TABLE connection_lease (
    tenant_id     integer NOT NULL,
    connection_id uuid NOT NULL,
    run_id        uuid NOT NULL,
    until         timestamptz NOT NULL,
    PRIMARY KEY (tenant_id, connection_id)
);
SELECT tenant_rows('connection_lease', 'SELECT, INSERT, UPDATE, DELETE');

CREATE TABLE connection_cursor (
    tenant_id     integer NOT NULL,
    connection_id uuid NOT NULL,
    stream        text NOT NULL,
    cursor        bytea NOT NULL,       -- the connector's own, opaque, at most 64 KiB, sealed under the tenant's key
    generation    bigint NOT NULL DEFAULT 0, -- of the snapshot that is being, or was last, read
    run_id        uuid NOT NULL,        -- run that started or resumed the reading
    complete      boolean NOT NULL DEFAULT false, -- the reading came to its end: the next run of a snapshot starts anew
    mapping       integer NOT NULL,     -- version under which the reading began
    changes       bigint NOT NULL DEFAULT 0, -- counts the pages that changed what is known of the stream's records
    looked_up     bigint NOT NULL DEFAULT 0, -- sum of the changes of the streams it looks up, when the reading began
    updated_at    timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant_id, connection_id, stream)
);
SELECT tenant_rows('connection_cursor', 'SELECT, INSERT, UPDATE, DELETE');

CREATE TABLE sync_run (
    tenant_id     integer NOT NULL,
    id            uuid NOT NULL,
    connection_id uuid NOT NULL,
    kind          text NOT NULL CHECK (kind IN ('sync', 'replay')),
    full_read     boolean NOT NULL,
    started_by    text NOT NULL,        -- credential id, or schedule
    state         text NOT NULL DEFAULT 'running' CHECK (state IN ('running', 'succeeded', 'failed', 'cancelled')),
    class         text NOT NULL DEFAULT '',  -- of the failure: the connector's class, or the hub's
    error         text NOT NULL DEFAULT '',  -- what failed and what to do, never a value of a record
    started_at    timestamptz NOT NULL,
    ended_at      timestamptz,
    PRIMARY KEY (tenant_id, id)
);
CREATE INDEX sync_run_connection ON sync_run (tenant_id, connection_id, started_at);
CREATE INDEX sync_run_ended ON sync_run (tenant_id, ended_at) WHERE ended_at IS NOT NULL;
SELECT tenant_rows('sync_run', 'SELECT, INSERT, UPDATE, DELETE');

-- How far a run is with each stream, counted up by each page's transaction.
CREATE TABLE sync_run_stream (
    tenant_id  integer NOT NULL,
    run_id     uuid NOT NULL,
    stream     text NOT NULL,
    records    bigint NOT NULL DEFAULT 0, -- received
    unchanged  bigint NOT NULL DEFAULT 0,
    statements bigint NOT NULL DEFAULT 0, -- stored, voidings included
    voided     bigint NOT NULL DEFAULT 0,
    skipped    bigint NOT NULL DEFAULT 0, -- the mapping makes no statement of them
    dead       bigint NOT NULL DEFAULT 0, -- dead letters
    done       bigint NOT NULL DEFAULT 0, -- of total, in the connector's own units
    total      bigint NOT NULL DEFAULT 0, -- 0: unknown
    position   smallint NOT NULL DEFAULT 0, -- in the order of reading
    started_at timestamptz NOT NULL,
    ended_at   timestamptz,
    PRIMARY KEY (tenant_id, run_id, stream)
) WITH (fillfactor = 50);
SELECT tenant_rows('sync_run_stream', 'SELECT, INSERT, UPDATE, DELETE');

-- What is known of each source record: enough to see a change, to void what it said before, to look it up
-- from another stream and to map it again. The record is pruned to the fields that the mapping names.
CREATE TABLE source_record (
    tenant_id     integer NOT NULL,
    connection_id uuid NOT NULL,
    stream        smallint NOT NULL,    -- connection_stream
    key           bytea NOT NULL,       -- HMAC of the record's key, first 16 bytes
    revision      integer NOT NULL,     -- counts what was stored for this key; never starts anew
    generation    bigint NOT NULL,      -- last snapshot that had it
    digest        bytea NOT NULL,       -- keyed digest of the pruned record
    outputs       bytea NOT NULL,       -- live statements made of it: for each its id and its keyed digest as mapped, 16 + 16 bytes
    subject_id    uuid,                 -- whose key seals the record; null: the tenant's
    sealed        bytea NOT NULL,       -- pruned record, JSON; empty when the source no longer has it
    PRIMARY KEY (tenant_id, connection_id, stream, key)
) WITH (fillfactor = 85);
CREATE INDEX source_record_subject ON source_record (tenant_id, subject_id) WHERE subject_id IS NOT NULL;
SELECT tenant_rows('source_record', 'SELECT, INSERT, UPDATE, DELETE');

CREATE TABLE connection_stream (
    tenant_id     integer NOT NULL,
    connection_id uuid NOT NULL,
    stream        smallint NOT NULL,
    name          text NOT NULL,
    PRIMARY KEY (tenant_id, connection_id, stream),
    UNIQUE (tenant_id, connection_id, name)
);
SELECT tenant_rows('connection_stream', 'SELECT, INSERT, DELETE');

CREATE TABLE dead_letter (
    tenant_id     integer NOT NULL,
    id            uuid NOT NULL,
    connection_id uuid NOT NULL,
    run_id        uuid NOT NULL,
    stream        text NOT NULL,
    key           bytea NOT NULL,       -- as in source_record; of the position where the record has no key
    position      text NOT NULL,        -- where in the source, as the connector names it (file name and line, offset): no value of the record
    code          text NOT NULL,        -- bad_record, too_large, mapping, invalid_statement, ...
    reason        text NOT NULL,        -- what and what to do; no value of the record
    mapping       integer NOT NULL,     -- version that was in force
    generation    bigint NOT NULL,      -- as in source_record
    subject_id    uuid,                 -- whose key seals it; null: the quarantine key of epoch
    epoch         integer NOT NULL DEFAULT 0, -- year and month of quarantine (202611)
    sealed        bytea NOT NULL,       -- pruned record; empty where it was too large to keep
    state         text NOT NULL DEFAULT 'open' CHECK (state IN ('open', 'replayed', 'superseded')),
    at            timestamptz NOT NULL,
    PRIMARY KEY (tenant_id, id)
);
CREATE INDEX dead_letter_at ON dead_letter (tenant_id, at);
CREATE INDEX dead_letter_subject ON dead_letter (tenant_id, subject_id) WHERE subject_id IS NOT NULL;
CREATE UNIQUE INDEX dead_letter_open ON dead_letter (tenant_id, connection_id, stream, key) WHERE state = 'open';
SELECT tenant_rows('dead_letter', 'SELECT, INSERT, UPDATE, DELETE');
