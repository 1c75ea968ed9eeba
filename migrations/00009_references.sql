-- +goose Up
-- What a StatementRef statement is found by besides itself: xAPI's filters agent, verb, activity and registration find it also by the statement that it
-- targets, by the one which that targets, and so on (xAPI 1.0.3 Communication 2.1.3). Statements never change, so that is worked out when they are written,
-- or by records.Resolve soon after; reference_key is the index, in the order of the referring statement's place. hub/records/reference.go fills it.
--
-- Which rows go with a statement E that is erased: of reference_key those with statement_id E, those with target_id E, and, of the statements whose chain leads through E, those
-- with a target behind it; of reference_pending that with statement_id E. A referring statement is found from E by statement.object and object_kind 4, as far as they lead; all its
-- rows have its stored, so that a key of its target and its stored find them in the index. Rows of E that were forgotten show nothing: a reader joins both ends.

-- One row for each key of each statement in the chain behind a referring one.
CREATE TABLE reference_key (
    tenant_id    integer NOT NULL,
    key          uuid NOT NULL,         -- subject, blind key of an activity, registration, or verb_key()
    statement_id uuid NOT NULL,         -- the referring statement
    target_id    uuid NOT NULL,         -- the statement in its chain that has the key
    places       smallint NOT NULL,     -- where it has it: bits, records.place
    stored       timestamptz NOT NULL   -- of the referring statement
);
CREATE INDEX reference_key_stored ON reference_key (tenant_id, key, stored);
SELECT tenant_rows('reference_key', 'SELECT, INSERT, DELETE');

CREATE FUNCTION verb_key(verb integer) RETURNS uuid LANGUAGE sql IMMUTABLE PARALLEL SAFE RETURN lpad(to_hex(verb), 32, '0')::uuid;

-- References whose keys are not all there: the chain leads to a statement that is not stored, or that was not visible to the writer.
-- Readers follow the chains of these themselves, but for those that await (state 3): of such a chain all that is there has its keys.
--
-- Why no match is lost. (1) A row awaits M only if it said so in a transaction committed before one that, as its first write, took the number touched, and if no
-- transaction up to touched was open any more when M was looked for and not found. (2) Whoever inserts M takes its own number first, and
-- then sets every row that says it awaits M back to fresh, whatever its state, which waits for a resolver that holds the row. Let W write M. If W saw the row, it is fresh
-- when W commits, or W's update waits for the resolver and makes it so. If W did not see it, W's number is older than touched, so W had ended, and M was found.
-- A row that is gone had its chain complete, and a complete chain never changes. Resolvers of one tenant exclude each other.
CREATE TABLE reference_pending (
    tenant_id    integer NOT NULL,
    statement_id uuid NOT NULL,         -- the referring statement
    target_id    uuid NOT NULL,         -- its object
    stored       timestamptz NOT NULL,  -- of the referring statement
    state        smallint NOT NULL,     -- 1 fresh, 2 seen, 3 awaiting (and until 00016 4 wide: it has more keys than were kept)
    awaits       uuid,                  -- the first statement of its chain that is not there; null: not known
    keyed        smallint NOT NULL,     -- so many statements of the chain have their keys
    touched      xid8,                  -- of the transaction that made it seen
    PRIMARY KEY (tenant_id, statement_id)
);
CREATE INDEX reference_pending_awaits ON reference_pending (tenant_id, awaits) WHERE awaits IS NOT NULL;
CREATE INDEX reference_pending_direct ON reference_pending (tenant_id, stored) WHERE state <> 3;
CREATE INDEX reference_pending_state ON reference_pending (tenant_id, state, touched) WHERE state < 3;
SELECT tenant_rows('reference_pending', 'SELECT, INSERT, UPDATE, DELETE');
INSERT INTO reference_pending (tenant_id, statement_id, target_id, stored, state, keyed)
SELECT tenant_id, id, object, stored, 1, 0 FROM statement WHERE object_kind = 4 AND object IS NOT NULL;

-- Every voiding statement has its row, whichever came first: a statement is voided if one voids it and it voids none itself, which a reader decides by what is there.
DROP INDEX voiding_statement;
ALTER TABLE voiding DROP CONSTRAINT voiding_pkey, ADD PRIMARY KEY (tenant_id, statement_id);
CREATE INDEX voiding_target ON voiding (tenant_id, target);
INSERT INTO voiding (tenant_id, target, statement_id)
SELECT s.tenant_id, s.object, s.id FROM statement s JOIN verb v ON v.tenant_id = s.tenant_id AND v.id = s.verb
WHERE v.iri = 'http://adlnet.gov/expapi/verbs/voided' AND s.object_kind = 4 AND s.object IS NOT NULL
ON CONFLICT DO NOTHING;

-- Statements by an activity in any place, in the order of stored.
ALTER TABLE statement_activity DROP CONSTRAINT statement_activity_pkey;
CREATE INDEX statement_activity_key ON statement_activity (tenant_id, key, stored);
