-- +goose Up
-- What a hub remembers of subject_index and subject_key (see hub/vault), between transactions, holds while the tenant's stamp stays the same. Each change of
-- a row that is there, and each deletion, gives another in the same transaction; new rows do not: nobody remembers that there are none.
CREATE TABLE subject_change (
    tenant_id integer PRIMARY KEY,
    stamp     uuid NOT NULL
);
SELECT tenant_rows('subject_change', 'SELECT');

-- +goose StatementBegin
CREATE FUNCTION subject_changed() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
    IF TG_OP = 'TRUNCATE' THEN
        INSERT INTO subject_change SELECT id, gen_random_uuid() FROM tenant ORDER BY id
        ON CONFLICT (tenant_id) DO UPDATE SET stamp = excluded.stamp;
    ELSE
        INSERT INTO subject_change SELECT tenant_id, gen_random_uuid() FROM (SELECT DISTINCT tenant_id FROM changed ORDER BY tenant_id) AS t
        ON CONFLICT (tenant_id) DO UPDATE SET stamp = excluded.stamp;
    END IF;
    RETURN NULL;
END $$;
-- +goose StatementEnd
CREATE TRIGGER changed AFTER UPDATE ON subject_index REFERENCING OLD TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION subject_changed();
CREATE TRIGGER deleted AFTER DELETE ON subject_index REFERENCING OLD TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION subject_changed();
CREATE TRIGGER emptied AFTER TRUNCATE ON subject_index FOR EACH STATEMENT EXECUTE FUNCTION subject_changed();
CREATE TRIGGER changed AFTER UPDATE ON subject_key REFERENCING OLD TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION subject_changed();
CREATE TRIGGER deleted AFTER DELETE ON subject_key REFERENCING OLD TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION subject_changed();
CREATE TRIGGER emptied AFTER TRUNCATE ON subject_key FOR EACH STATEMENT EXECUTE FUNCTION subject_changed();
