-- +goose Up
-- Data rules open statements by purpose, and a client's own by authority: what few may see among much that they may not is found in the order of stored, too.
CREATE INDEX statement_purpose ON statement (tenant_id, purpose, stored);
CREATE INDEX statement_authority ON statement (tenant_id, authority, stored);
