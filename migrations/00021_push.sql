-- +goose Up
-- What sources push, and how fresh each stream of a connection is.

-- Deliveries that were taken, so that one that comes again is answered as before and stores nothing. Rows go after some time, the oldest of a
-- connection before that. What is sealed here is the connector's answer to the sender; it is erased with its row.
CREATE TABLE push_delivery (
    tenant_id     integer NOT NULL,
    connection_id uuid NOT NULL,
    key           bytea NOT NULL,       -- keyed digest, 16 bytes, of what names the delivery: the sender's own id of it, or its body
    id            uuid NOT NULL,        -- what audit events and dead letters call it
    answer        bytea NOT NULL,       -- JSON: status, header, body; sealed under the tenant's key
    at            timestamptz NOT NULL,
    PRIMARY KEY (tenant_id, connection_id, key)
);
CREATE INDEX push_delivery_at ON push_delivery (tenant_id, connection_id, at);
SELECT tenant_rows('push_delivery', 'SELECT, INSERT, DELETE');

-- Whether the record, as it is known, was pushed while or after the snapshot of its generation was read: that snapshot's own copy may be older, and gives way.
ALTER TABLE source_record ADD COLUMN pushed boolean NOT NULL DEFAULT false;

-- No personal data: times and counts of whole streams.
CREATE TABLE connection_freshness (
    tenant_id     integer NOT NULL,
    connection_id uuid NOT NULL,
    stream        text NOT NULL,
    read_at       timestamptz,          -- when a run last came to its end
    changed_at    timestamptz,          -- when anything of it last changed
    pushed_at     timestamptz,          -- when a delivery was last taken
    late_since    timestamptz,          -- since when it is older than the connection's late_after allows; null: it is not
    told_at       timestamptz,          -- when somebody was told that it is late
    told_tries    integer NOT NULL DEFAULT 0,
    PRIMARY KEY (tenant_id, connection_id, stream)
) WITH (fillfactor = 50);
SELECT tenant_rows('connection_freshness', 'SELECT, INSERT, UPDATE, DELETE');

ALTER TABLE connection ADD COLUMN late_after text NOT NULL DEFAULT ''; -- interval, as schedule; empty: it is never late

-- A push names a connection, and so its tenant: by id. Nothing else of a connection is readable before the tenant is known.
-- +goose StatementBegin
CREATE FUNCTION connection_tenant(wanted uuid) RETURNS integer LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS $$
    SELECT tenant_id FROM connection WHERE id = wanted AND state <> 'removed' LIMIT 1
$$;
-- +goose StatementEnd
CREATE INDEX connection_id ON connection (id);
REVOKE ALL ON FUNCTION connection_tenant(uuid) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION connection_tenant(uuid) TO lrshub_app;

-- Resources that an identity provider put here by SCIM: what is needed to find one again. Its content is the source record with this key. Erasable: a row goes
-- with its source record; names are blind indexes.
CREATE TABLE scim_resource (
    tenant_id     integer NOT NULL,
    connection_id uuid NOT NULL,
    stream        text NOT NULL,        -- users, groups
    id            uuid NOT NULL,        -- as the provider knows it, random
    key           bytea NOT NULL,       -- of its source record
    position      bigint NOT NULL GENERATED ALWAYS AS IDENTITY, -- in lists
    name          bytea,                -- keyed digest of userName in lower case
    external_id   bytea,                -- keyed digest of externalId
    label         bytea,                -- keyed digest of displayName in lower case
    version       integer NOT NULL DEFAULT 1,
    created_at    timestamptz NOT NULL,
    modified_at   timestamptz NOT NULL,
    PRIMARY KEY (tenant_id, connection_id, stream, id)
);
CREATE UNIQUE INDEX scim_resource_name ON scim_resource (tenant_id, connection_id, stream, name) WHERE name IS NOT NULL;
CREATE INDEX scim_resource_external_id ON scim_resource (tenant_id, connection_id, stream, external_id) WHERE external_id IS NOT NULL;
CREATE INDEX scim_resource_label ON scim_resource (tenant_id, connection_id, stream, label) WHERE label IS NOT NULL;
CREATE INDEX scim_resource_position ON scim_resource (tenant_id, connection_id, stream, position);
SELECT tenant_rows('scim_resource', 'SELECT, INSERT, UPDATE, DELETE');
