-- +goose Up
-- A statement is voided only by one of its own purpose: whoever writes for another must not take it away by knowing its id. The purpose stands in the row, and is not
-- looked up in the voiding statement: what was wrong stays voided when the person who said so is erased.
ALTER TABLE voiding ADD COLUMN purpose integer;
UPDATE voiding v SET purpose = s.purpose FROM statement s WHERE s.tenant_id = v.tenant_id AND s.id = v.statement_id;
ALTER TABLE voiding ALTER COLUMN purpose SET NOT NULL;
