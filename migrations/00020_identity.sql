-- +goose Up
-- One person, many accounts: by what each subject is known, what may link on it, and what people decided. See hub/vault/identity.go.
-- subject.person_id is what follows from it: the lowest subject id of those that are one person.

-- On which kinds of claim a connection's records may link. None: on none.
CREATE TABLE identity_rule (
    tenant_id     integer NOT NULL,
    connection_id uuid NOT NULL,
    kind          text NOT NULL,
    PRIMARY KEY (tenant_id, connection_id, kind)
);
SELECT tenant_rows('identity_rule', 'SELECT, INSERT, DELETE');

-- Personal data, pseudonymised: whoever erases a subject deletes its rows.
CREATE TABLE person_claim (
    tenant_id     integer NOT NULL,
    connection_id uuid NOT NULL,        -- source record, as in source_record
    stream        smallint NOT NULL,
    record        bytea NOT NULL,
    subject_id    uuid NOT NULL,
    kind          text NOT NULL,
    issuer        bytea NOT NULL,       -- blind index of whose number it is, 16 bytes
    blind         bytea NOT NULL,       -- HMAC of issuer and value, key per tenant and kind, 16 bytes
    verified      boolean NOT NULL,     -- of a mailbox: the source made sure; numbers are always
    own           boolean NOT NULL,     -- the subject is the mailbox itself
    since         timestamptz NOT NULL,
    PRIMARY KEY (tenant_id, connection_id, stream, record, subject_id, kind, blind)
);
CREATE INDEX person_claim_blind ON person_claim (tenant_id, kind, blind);
CREATE INDEX person_claim_subject ON person_claim (tenant_id, subject_id);
SELECT tenant_rows('person_claim', 'SELECT, INSERT, UPDATE, DELETE');

-- What a human decided of two subjects. Personal data, pseudonymised: whoever erases a subject deletes its rows.
CREATE TABLE person_decision (
    tenant_id integer NOT NULL,
    low       uuid NOT NULL,            -- the lower of the two subjects
    high      uuid NOT NULL,
    same      boolean NOT NULL,         -- one person; false: two
    actor     text NOT NULL,            -- id of the credential
    at        timestamptz NOT NULL,
    PRIMARY KEY (tenant_id, low, high),
    CHECK (low < high)
);
CREATE INDEX person_decision_high ON person_decision (tenant_id, high);
SELECT tenant_rows('person_decision', 'SELECT, INSERT, UPDATE, DELETE');

-- Each link with its evidence, those that were taken back too. Personal data, pseudonymised: whoever erases a subject deletes its rows.
CREATE TABLE person_link (
    tenant_id integer NOT NULL,
    id        uuid NOT NULL,
    low       uuid NOT NULL,
    high      uuid NOT NULL,
    kind      text NOT NULL,            -- of the claim that both have; decision: somebody said so
    blind     bytea NOT NULL,           -- of the claim
    linked_at timestamptz NOT NULL,
    ended_at  timestamptz,              -- null: it holds
    PRIMARY KEY (tenant_id, id),
    CHECK (low < high)
);
-- None of these is partial: while a table is empty the planner takes a partial index for the cheapest, whatever it leads with, and keeps that plan.
CREATE INDEX person_link_low ON person_link (tenant_id, low);
CREATE INDEX person_link_high ON person_link (tenant_id, high);
CREATE INDEX person_link_claim ON person_link (tenant_id, kind, blind);
SELECT tenant_rows('person_link', 'SELECT, INSERT, UPDATE, DELETE');

-- Claims that reach more than one person, for a human to decide. It names nobody by itself: who has the claim is in person_claim.
CREATE TABLE person_review (
    tenant_id  integer NOT NULL,
    id         uuid NOT NULL,
    kind       text NOT NULL,
    blind      bytea NOT NULL,
    issue      text NOT NULL CHECK (issue IN ('shared', 'disagree', 'apart', 'many')),
    state      text NOT NULL CHECK (state IN ('open', 'same', 'different', 'settled')), -- settled: the sources no longer say it
    opened_at  timestamptz NOT NULL,
    decided_by text NOT NULL DEFAULT '', -- id of the credential
    decided_at timestamptz,
    PRIMARY KEY (tenant_id, id),
    UNIQUE (tenant_id, kind, blind)
);
CREATE INDEX person_review_state ON person_review (tenant_id, state, opened_at);
SELECT tenant_rows('person_review', 'SELECT, INSERT, UPDATE, DELETE');
