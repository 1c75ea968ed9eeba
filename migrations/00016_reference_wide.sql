-- +goose Up
-- What refers to a statement with many keys, or through a long chain, is found without its keys being kept once more for each reference, and without any other query having
-- to look at it. Of each chain, from its beginning, the keys of so many statements as have 32 together are in reference_key; for each further one there is a row of
-- reference_wide, and its keys are kept once, in reference_wide_key, however many refer to it. A reader first asks which such targets have a key: mostly none.
--
-- With a statement E that is erased go: of reference_wide the rows with statement_id E, those with target_id E and, of the statements whose chain leads through E, those with a target behind
-- it; of reference_wide_key those with target_id E.
CREATE TABLE reference_wide (
    tenant_id    integer NOT NULL,
    target_id    uuid NOT NULL,         -- a statement in its chain whose keys are in reference_wide_key
    statement_id uuid NOT NULL,         -- the referring statement
    stored       timestamptz NOT NULL   -- of the referring statement
);
CREATE INDEX reference_wide_target ON reference_wide (tenant_id, target_id, stored);
CREATE INDEX reference_wide_stored ON reference_wide (tenant_id, stored, statement_id);
SELECT tenant_rows('reference_wide', 'SELECT, INSERT, DELETE');

-- Written with the first reference. Of two at once both write them, since neither sees the other's and none is to wait for another: readers take each target once.
CREATE TABLE reference_wide_key (
    tenant_id integer NOT NULL,
    key       uuid NOT NULL,            -- as of reference_key
    target_id uuid NOT NULL,            -- the statement that has the key
    places    smallint NOT NULL         -- as of reference_key
);
CREATE INDEX reference_wide_key_key ON reference_wide_key (tenant_id, key);
CREATE INDEX reference_wide_key_target ON reference_wide_key (tenant_id, target_id);
SELECT tenant_rows('reference_wide_key', 'SELECT, INSERT, DELETE');

-- References that had too many keys, of which readers followed the chains themselves (state 4), are taken on from their beginning.
DELETE FROM reference_key k USING reference_pending p WHERE p.state = 4 AND k.tenant_id = p.tenant_id AND k.statement_id = p.statement_id;
UPDATE reference_pending SET state = 1, keyed = 0 WHERE state = 4;
