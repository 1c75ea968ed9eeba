-- +goose Up
-- What is known of people beside statements: role, unit, location, manager, employment and what a site adds, each from a day to a day, as a source's record
-- says it. Rows are never changed but to say how long they were believed (recorded_until), so that "as known on a date" can be asked.
--
-- Personal data, all of it: whoever erases a subject deletes its rows, and those of which it is the manager lose that.
CREATE TABLE person_fact (
    tenant_id      integer NOT NULL,
    id             uuid NOT NULL,
    subject_id     uuid NOT NULL,       -- of whom
    kind           text NOT NULL,
    value_key      bytea NOT NULL,      -- blind index of kind and value, or of the manager's subject: 16 bytes
    sealed         bytea NOT NULL,      -- the value, under the subject's learning key; empty where manager_id says it
    manager_id     uuid,                -- the subject that the fact names, of kind manager
    valid_from     timestamptz NOT NULL, -- -infinity: since before it was known
    valid_until    timestamptz NOT NULL, -- infinity: until further notice
    recorded_from  timestamptz NOT NULL,
    recorded_until timestamptz NOT NULL DEFAULT 'infinity',
    stated         boolean NOT NULL,    -- the source said since when; else it was observed
    ended          boolean NOT NULL,    -- valid_until was observed: the source says something else since, or nothing
    purpose        integer NOT NULL,    -- of the connection
    connection_id  uuid NOT NULL,       -- source record, as in source_record
    stream         smallint NOT NULL,
    record         bytea NOT NULL,
    PRIMARY KEY (tenant_id, id),
    CHECK (valid_from < valid_until AND recorded_from <= recorded_until)
);
CREATE INDEX person_fact_subject ON person_fact (tenant_id, subject_id, kind);
CREATE INDEX person_fact_value ON person_fact (tenant_id, kind, value_key);
CREATE INDEX person_fact_manager ON person_fact (tenant_id, manager_id);
CREATE INDEX person_fact_record ON person_fact (tenant_id, connection_id, stream, record);
SELECT tenant_rows('person_fact', 'SELECT, INSERT, UPDATE, DELETE');

-- Keyed digest of what the record says of a person, 16 bytes; empty: nothing. By it a change is seen.
ALTER TABLE source_record ADD COLUMN person bytea NOT NULL DEFAULT '';
