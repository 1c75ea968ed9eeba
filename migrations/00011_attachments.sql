-- +goose Up
-- What was sent of the attachments of statements. All of it is sealed under the learning key of the statement's actor, like the statement's frame; what is large lies
-- in the blob store, under a data key that is sealed in header. A blob that no row names is swept.
CREATE TABLE statement_attachment (
    tenant_id    integer NOT NULL,
    statement_id uuid NOT NULL,
    key          uuid NOT NULL,         -- blind index of the sha2: HMAC-SHA-256 under the tenant's digest key, first 16 bytes
    size         bigint NOT NULL,       -- bytes of the content
    header       bytea NOT NULL,        -- records.AttachmentHeader, sealed
    content      bytea,                 -- sealed; null where it is in a blob
    blob         uuid,                  -- several statements of one request may share one
    PRIMARY KEY (tenant_id, statement_id, key),
    CHECK ((content IS NULL) <> (blob IS NULL))
);
ALTER TABLE statement_attachment ALTER COLUMN content SET STORAGE EXTERNAL; -- sealed bytes cannot be compressed
CREATE INDEX statement_attachment_blob ON statement_attachment (tenant_id, blob) WHERE blob IS NOT NULL;
SELECT tenant_rows('statement_attachment', 'SELECT, INSERT, DELETE');
