-- +goose Up
-- The vault: who a random subject id stands for. Identifiers are sealed; they are found by blind index only.

CREATE TABLE subject (
    tenant_id  integer NOT NULL REFERENCES tenant,
    id         uuid NOT NULL,
    person_id  uuid NOT NULL,           -- equals id until the vault links subjects to one person
    identifier bytea,                   -- the IFI as an xAPI agent, sealed under the subject's learning key; null for an anonymous group
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant_id, id)
);
CREATE INDEX subject_person ON subject (tenant_id, person_id);
SELECT tenant_rows('subject', 'SELECT, INSERT, UPDATE, DELETE');

-- A mailbox has two rows: its own and its mbox_sha1sum's.
CREATE TABLE subject_index (
    tenant_id  integer NOT NULL,
    blind      bytea NOT NULL,          -- HMAC-SHA-256 of the canonical identifier under the tenant's index key
    subject_id uuid NOT NULL,
    PRIMARY KEY (tenant_id, blind)
);
CREATE INDEX subject_index_subject ON subject_index (tenant_id, subject_id);
SELECT tenant_rows('subject_index', 'SELECT, INSERT, UPDATE, DELETE');

-- Keys never stand in clear here: each is wrapped by a tenant key epoch that lives outside Postgres.
CREATE TABLE subject_key (
    tenant_id  integer NOT NULL,
    subject_id uuid NOT NULL,
    class      smallint NOT NULL,       -- 1 learning, 2 evidence
    epoch      integer NOT NULL,
    wrapped    bytea NOT NULL,
    PRIMARY KEY (tenant_id, subject_id, class)
);
SELECT tenant_rows('subject_key', 'SELECT, INSERT, UPDATE, DELETE');
