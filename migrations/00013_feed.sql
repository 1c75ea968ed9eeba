-- +goose Up
-- A statement that was taken over from another store keeps the stored that it had there; its position (seq) is still that of its coming here. All others
-- have stored = position, so their index by stored is the order of coming; these have one of their own.
ALTER TABLE statement ADD COLUMN imported boolean NOT NULL DEFAULT false;
CREATE INDEX statement_imported ON statement (tenant_id, seq) WHERE imported;

-- The type of an activity of the catalogue, by which statements are found. Of a definition that Postgres does not read (it may have \u0000 in a text) it
-- is set when the definition changes next. Of more than 2000 bytes it would not fit into an index, and stays away.
ALTER TABLE activity ADD COLUMN type text;
-- +goose StatementBegin
CREATE FUNCTION definition_type(definition text) RETURNS text LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
    RETURN definition::json ->> 'type';
EXCEPTION WHEN data_exception THEN RETURN NULL;
END $$;
-- +goose StatementEnd
UPDATE activity SET type = definition_type(definition) WHERE octet_length(definition_type(definition)) <= 2000;
DROP FUNCTION definition_type;
CREATE INDEX activity_type ON activity (tenant_id, type) WHERE type IS NOT NULL;
