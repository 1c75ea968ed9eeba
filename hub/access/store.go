package access

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/ory/ladon"

	"github.com/lrshub/lrshub/hub/audit"
	"github.com/lrshub/lrshub/hub/database"
	"github.com/lrshub/lrshub/hub/people"
)

// Errors of changing grants.
var (
	ErrInvalidGrant = errors.New("grant not valid")
	ErrUnknownGrant = errors.New("unknown grant")
	ErrGrantChanged = errors.New("the grant was changed meanwhile: read it again")
)

// Grant is one grant of a tenant: a ladon policy, and how often it was changed.
type Grant struct {
	Policy  ladon.DefaultPolicy
	Version int // 1 when new; 0 asks SetGrant to add
}

type grantRow struct {
	ID       string `db:"id"`
	Version  int    `db:"version"`
	Document []byte `db:"document"`
}

const selectGrants = "SELECT id, version, document FROM grant_policy WHERE tenant_id = $1 AND document IS NOT NULL ORDER BY id"

// Grants lists the tenant's grants by id.
func Grants(ctx context.Context, tx *database.Tx) ([]Grant, error) {
	var rows []grantRow
	if err := tx.SelectContext(ctx, &rows, selectGrants, tx.Tenant); err != nil {
		return nil, fmt.Errorf("list grants: %w", err)
	}
	grants := make([]Grant, len(rows))
	for i, row := range rows {
		policy, err := parseGrant(row.Document)
		if err != nil {
			return nil, fmt.Errorf("grant %s: %w", row.ID, err)
		}
		grants[i] = Grant{Policy: policy, Version: row.Version}
	}
	return grants, nil
}

// SetGrant adds a grant (version 0) or changes the one of that version (ErrGrantChanged if it has
// another by now), and tells the audit log; actor is the credential that asked.
func SetGrant(ctx context.Context, tx *database.Tx, now time.Time, actor string, g Grant) error {
	document, err := json.Marshal(&g.Policy)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrInvalidGrant, err)
	}
	if _, err := parseGrant(document); err != nil { // what is stored is what was checked
		return err
	}
	var changed sql.Result
	if g.Version == 0 {
		changed, err = tx.ExecContext(ctx, `INSERT INTO grant_policy (tenant_id, id, document) VALUES ($1, $2, $3)
			ON CONFLICT (tenant_id, id) DO UPDATE SET document = excluded.document, version = grant_policy.version + 1
			WHERE grant_policy.document IS NULL`, tx.Tenant, g.Policy.ID, string(document))
	} else {
		changed, err = tx.ExecContext(ctx, `UPDATE grant_policy SET document = $3, version = version + 1
			WHERE tenant_id = $1 AND id = $2 AND version = $4 AND document IS NOT NULL`, tx.Tenant, g.Policy.ID, string(document), g.Version)
	}
	if err := one(changed, err, ErrGrantChanged); err != nil {
		return fmt.Errorf("set grant %s: %w", g.Policy.ID, err)
	}
	return tell(ctx, tx, now, audit.GrantAdded, actor, g.Policy.ID)
}

// RemoveGrant removes a grant and tells the audit log. A default grant that was removed is not seeded again.
func RemoveGrant(ctx context.Context, tx *database.Tx, now time.Time, actor, id string) error {
	changed, err := tx.ExecContext(ctx, `UPDATE grant_policy SET document = NULL, version = version + 1
		WHERE tenant_id = $1 AND id = $2 AND document IS NOT NULL`, tx.Tenant, id)
	if err := one(changed, err, ErrUnknownGrant); err != nil {
		return fmt.Errorf("remove grant: %w", err)
	}
	return tell(ctx, tx, now, audit.GrantRemoved, actor, id)
}

func one(changed sql.Result, err, none error) error {
	if err != nil {
		return err
	}
	n, err := changed.RowsAffected()
	if err == nil && n == 0 {
		return none
	}
	return err
}

func tell(ctx context.Context, tx *database.Tx, now time.Time, kind, actor, grant string) error {
	return audit.Record(ctx, tx, now, audit.Event{Kind: kind, Actor: actor, Fields: map[string]any{"grant": grant}})
}

// Seed gives a tenant the default grants that it never had. Called again, it changes nothing.
func (g *Gate) Seed(ctx context.Context, tx *database.Tx, now time.Time) error {
	defaults, err := defaultGrants()
	if err != nil {
		return fmt.Errorf("default grants: %w", err)
	}
	for i := range defaults {
		document, err := json.Marshal(&defaults[i])
		if err != nil {
			return err
		}
		added, err := tx.ExecContext(ctx, "INSERT INTO grant_policy (tenant_id, id, document) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING",
			tx.Tenant, defaults[i].ID, string(document))
		if err != nil {
			return fmt.Errorf("seed grant %s: %w", defaults[i].ID, err)
		}
		if n, err := added.RowsAffected(); err != nil || n == 0 {
			continue
		}
		if err := tell(ctx, tx, now, audit.GrantAdded, "lrshub", defaults[i].ID); err != nil {
			return err
		}
	}
	return nil
}

// tenants holds what the gate knows of each tenant, and reads it again when it is no longer fresh.
type tenants struct {
	db    *database.DB
	fresh time.Duration
	now   func() time.Time

	mu   sync.Mutex
	byID map[database.TenantID]*tenant
}

type tenant struct {
	turn    chan struct{} // holds one token: who has it may read and write what follows
	at      time.Time
	current *snapshot
}

// snapshot is a tenant's grants and purposes at one instant, and the decisions made by them.
type snapshot struct {
	digest   [sha256.Size]byte
	policies ladon.Policies
	purposes []string // sorted

	mu        sync.RWMutex
	decisions map[string]Decision
}

// maxDecisions bounds the decisions that a snapshot keeps; beyond it they are forgotten all at once.
const maxDecisions = 4096

func newTenants(db *database.DB, fresh time.Duration, now func() time.Time) *tenants {
	return &tenants{db: db, fresh: fresh, now: now, byID: map[database.TenantID]*tenant{}}
}

// snapshot gives the tenant's grants and purposes as they were when the request came, or less than fresh before. What another request began to read since then is good
// too: else, when reading takes longer than fresh, each of those that wait would read anew, one after another.
func (t *tenants) snapshot(ctx context.Context, id database.TenantID) (*snapshot, error) {
	came := t.now()
	t.mu.Lock()
	known := t.byID[id]
	if known == nil {
		known = &tenant{turn: make(chan struct{}, 1)}
		known.turn <- struct{}{}
		t.byID[id] = known
	}
	t.mu.Unlock()
	select {
	case <-known.turn:
		defer func() { known.turn <- struct{}{} }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	at := t.now()
	if known.current != nil && !at.Before(known.at) && came.Sub(known.at) < t.fresh {
		return known.current, nil
	}
	read, err := t.read(ctx, id)
	if err != nil {
		return nil, fmt.Errorf("read grants: %w", err)
	}
	if known.current == nil || known.current.digest != read.digest {
		known.current = read
	}
	known.at = at
	return known.current, nil
}

// read takes all of it and not what changed: it is little, and a change can then not be missed. One
// grant that cannot be read spoils all, as it may have been a denial.
func (t *tenants) read(ctx context.Context, id database.TenantID) (*snapshot, error) {
	s := &snapshot{}
	err := t.db.ReadTenant(ctx, id, func(ctx context.Context, tx *database.Tx) error {
		var rows []grantRow
		if err := tx.SelectContext(ctx, &rows, selectGrants, tx.Tenant); err != nil {
			return err
		}
		purposes, err := people.Purposes(ctx, tx)
		if err != nil {
			return err
		}
		*s = snapshot{decisions: map[string]Decision{}}
		digest := sha256.New()
		for _, row := range rows {
			policy, err := parseGrant(row.Document)
			if err != nil {
				return fmt.Errorf("grant %s: %w", row.ID, err)
			}
			if policy.ID != row.ID {
				return fmt.Errorf("grant %s: %w: it calls itself otherwise", row.ID, ErrInvalidGrant)
			}
			s.policies = append(s.policies, &policy)
			part(digest, string(row.Document))
		}
		part(digest, "purposes")
		for _, p := range purposes {
			s.purposes = append(s.purposes, p.Name)
			part(digest, p.Name)
		}
		s.digest = [sha256.Size]byte(digest.Sum(nil))
		return nil
	})
	return s, err
}

// part adds a text to a digest, its length first, so that no two lists of texts are the same bytes.
func part(digest hash.Hash, text string) { fmt.Fprintf(digest, "%d:%s", len(text), text) }

func (s *snapshot) decided(key string) (Decision, bool) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	d, ok := s.decisions[key]
	return d, ok
}

func (s *snapshot) keep(key string, d Decision) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.decisions) >= maxDecisions {
		clear(s.decisions)
	}
	s.decisions[key] = d
}

// keyOf names all that a decision depends on beside the snapshot.
func keyOf(policy *rules, r Request) string {
	held := slices.Sorted(slices.Values(r.Caller.Scopes))
	return strings.Join(append(held, r.Action, r.Resource, r.Caller.Client.String(), r.Caller.Authority.String(), r.Caller.Purpose, policy.revision), "\x00")
}
