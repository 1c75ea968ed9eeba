-- +goose Up
-- A statement that was taken over from another store keeps the stored that it had there; its position (seq) is still that of its coming here. All others
-- have stored = position, so their index by stored is the order of coming; these have one of their own.
ALTER TABLE statement ADD COLUMN imported boolean NOT NULL DEFAULT false;
CREATE INDEX statement_imported ON statement (tenant_id, seq) WHERE imported;
