-- +goose Up
-- What each tenant's key ring sealed when it was made. A hub that is given another key folder, or one that lost a file, finds out before it writes:
-- with new keys it would know nobody and nothing of what is stored, and store it all again.
CREATE TABLE tenant_keys (
    tenant_id integer PRIMARY KEY REFERENCES tenant,
    sealed    bytea NOT NULL
);
SELECT tenant_rows('tenant_keys', 'SELECT, INSERT');
