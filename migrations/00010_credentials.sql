-- +goose Up
-- What a client signs in with: keys with secrets, several at a time, so that one can take over while the one before still holds; or the
-- name under which the hub's issuer of tokens knows it.
CREATE TABLE client_key (
    tenant_id   integer NOT NULL,
    client      uuid NOT NULL,
    kind        text NOT NULL CHECK (kind IN ('secret', 'jwt')),
    key         text NOT NULL,          -- secret: the public part; jwt: the client that the issuer's tokens name
    secret_hash bytea,                  -- HMAC-SHA-256 of the secret under the installation's pepper
    created_at  timestamptz NOT NULL,
    expires_at  timestamptz,            -- the client may end before
    revoked_at  timestamptz,
    used_on     date,                   -- the last day (UTC) on which it was good
    PRIMARY KEY (tenant_id, kind, key, client, created_at),
    FOREIGN KEY (tenant_id, client) REFERENCES client,
    CHECK ((secret_hash IS NULL) = (kind = 'jwt'))
);
CREATE INDEX client_key_found ON client_key (kind, key);
CREATE UNIQUE INDEX client_key_live ON client_key (kind, key) WHERE revoked_at IS NULL; -- of all tenants: a key says which one is meant
SELECT tenant_rows('client_key', 'SELECT, INSERT, UPDATE');

INSERT INTO client_key (tenant_id, client, kind, key, secret_hash, created_at, revoked_at)
SELECT tenant_id, id, 'secret', key, secret_hash, created_at, revoked_at FROM client;

DROP FUNCTION client_tenant(text);
ALTER TABLE client DROP COLUMN key, DROP COLUMN secret_hash,
    ADD COLUMN networks text[] NOT NULL DEFAULT '{}'; -- from which it may come, as CIDRs; none: from anywhere

-- A key says which tenant to look in; nothing else about a client is readable before the tenant is known.
-- +goose StatementBegin
CREATE FUNCTION key_tenant(wanted_kind text, wanted text) RETURNS integer LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS $$
    SELECT tenant_id FROM client_key WHERE kind = wanted_kind AND key = wanted ORDER BY revoked_at DESC NULLS FIRST LIMIT 1
$$;
-- +goose StatementEnd
REVOKE ALL ON FUNCTION key_tenant(text, text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION key_tenant(text, text) TO lrshub_app;
