-- +goose Up
-- State and profile documents (xAPI Communication 2.2). A document is its writer's working memory for one purpose: each purpose has its own. What an id or a
-- content says may be personal: both are sealed, under the learning key of the subject whose document it is, or under the tenant's where it is an activity's.
CREATE TABLE document (
    tenant_id    integer NOT NULL,
    kind         smallint NOT NULL,     -- records.DocumentKind
    purpose      integer NOT NULL,
    subject_id   uuid NOT NULL,         -- whose it is; the nil UUID for an activity profile
    activity     uuid NOT NULL,         -- its blind key; the nil UUID for an agent profile
    registration uuid NOT NULL,         -- the nil UUID for none
    name         uuid NOT NULL,         -- blind index of stateId or profileId
    updated      timestamptz NOT NULL,
    label        bytea NOT NULL,        -- id, activity and content type, sealed
    content      bytea NOT NULL,        -- as sent, sealed
    PRIMARY KEY (tenant_id, kind, purpose, subject_id, activity, registration, name)
);
ALTER TABLE document ALTER COLUMN content SET STORAGE EXTERNAL; -- what is sealed does not compress
CREATE INDEX document_subject ON document (tenant_id, subject_id);
SELECT tenant_rows('document', 'SELECT, INSERT, UPDATE, DELETE');
