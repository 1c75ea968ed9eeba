-- +goose Up
-- Who is calling, what they were granted, and for which purpose.

CREATE TABLE purpose (
    tenant_id integer NOT NULL,
    id        integer GENERATED ALWAYS AS IDENTITY,
    name      text NOT NULL,
    basis     text NOT NULL,            -- lawful basis, GDPR Art. 6(1): consent, contract, legal-obligation, vital-interests, public-task, legitimate-interests
    description text NOT NULL DEFAULT '',
    PRIMARY KEY (tenant_id, name)
);
SELECT tenant_rows('purpose', 'SELECT, INSERT, UPDATE, DELETE');

CREATE TABLE client (
    tenant_id   integer NOT NULL,
    id          uuid NOT NULL,
    name        text NOT NULL,
    key         text NOT NULL UNIQUE,   -- public part of the credential
    secret_hash bytea NOT NULL,         -- HMAC-SHA-256 of the secret under the installation's pepper
    scopes      text[] NOT NULL,
    purpose     text NOT NULL,
    created_at  timestamptz NOT NULL DEFAULT now(),
    expires_at  timestamptz,
    revoked_at  timestamptz,
    PRIMARY KEY (tenant_id, id)
);
CREATE UNIQUE INDEX client_name ON client (tenant_id, name) WHERE revoked_at IS NULL;
SELECT tenant_rows('client', 'SELECT, INSERT, UPDATE');

-- A key says which tenant to look in; nothing else about a client is readable before the tenant is known.
-- +goose StatementBegin
CREATE FUNCTION client_tenant(wanted text) RETURNS integer LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS $$
    SELECT tenant_id FROM client WHERE key = wanted
$$;
-- +goose StatementEnd
REVOKE ALL ON FUNCTION client_tenant(text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION client_tenant(text) TO lrshub_app;

CREATE TABLE grant_policy (
    tenant_id integer NOT NULL,
    id        text NOT NULL,
    version   integer NOT NULL DEFAULT 1,
    document  jsonb,                    -- a ladon policy; null: removed, and a default grant so removed does not come back
    PRIMARY KEY (tenant_id, id)
);
SELECT tenant_rows('grant_policy', 'SELECT, INSERT, UPDATE, DELETE');
