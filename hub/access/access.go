// Package access is the one gate: it says whether a caller may do what it asks, and what of the data it
// then sees. Two engines must both allow: ladon, with the grants that a tenant's administrators edit,
// and OPA, with the data rules of the policy bundle. An error, an undefined value, a nil, a panic or a
// timeout in either is a denial.
//
// Start with Gate.Decide. Then: grants.go (ladon), store.go (grants in Postgres), rules.go (the policy
// bundle), ruling.go (what OPA says of one request).
package access

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"slices"
	"sync/atomic"
	"time"

	"github.com/google/uuid"

	"github.com/lrshub/lrshub/hub/database"
	"github.com/lrshub/lrshub/hub/query"
)

var (
	// ErrDenied is the answer to whatever is not allowed. Its text names the action and the resource, and
	// tells nothing of the data.
	ErrDenied = errors.New("access denied")
	// ErrUndecided comes with ErrDenied where an engine or the database failed, so that nobody looks for a
	// missing grant.
	ErrUndecided = errors.New("the gate could not decide")
)

// Actions that a request may name.
const (
	Read   = "read"
	Write  = "write"
	Define = "define" // put into the catalogue, in clear
	Manage = "manage" // credentials, tenants, purposes, grants
)

// Resources that a request may name.
const (
	Statements       = "statements"
	Export           = "statements:export"
	Import           = "statements:import" // with authority and stored as another store set them
	Activities       = "activities"
	Agents           = "agents" // Person objects
	State            = "state"
	AgentProfiles    = "agent-profiles"
	ActivityProfiles = "activity-profiles"
	Connections      = "connections"
	Mappings         = "mappings"
	Syncs            = "syncs"
	DeadLetters      = "dead-letters"
	Entries          = "entries"      // records that people enter
	Persons          = "persons"      // who is who, and what is known of people beside statements
	Provisioning     = "provisioning" // what an identity provider puts into a connection
	Audit            = "audit"
	Clients          = "clients"
	Tenants          = "tenants"
	Purposes         = "purposes"
	Policy           = "policy"
)

var (
	actions   = []string{Read, Write, Define, Manage}
	resources = []string{
		Statements, Export, Import, Activities, Agents, State, AgentProfiles, ActivityProfiles, Connections, Mappings, Syncs, DeadLetters, Entries, Persons, Provisioning,
		Audit, Clients, Tenants,
		Purposes, Policy,
	}
	scopes = []string{
		"statements/write", "statements/read", "statements/read/pseudonymised", "statements/read/mine", "statements/import", "define",
		"state", "state/read", "profile", "agents_profile", "agents_profile/read", "activities_profile", "activities_profile/read",
		"all/read", "all", "admin", "connections/read", "connections/write", "records/enter", "persons/read", "persons/write", "provisioning", "audit/read",
	}
)

// Scopes lists the scopes that a credential may have.
func Scopes() []string { return slices.Clone(scopes) }

// Caller is who asks: a credential that was authenticated, and what it is bound to.
type Caller struct {
	Tenant  database.TenantID
	Client  uuid.UUID // of the credential
	Name    string    // of the credential, for people
	Scopes  []string
	Purpose string // the one purpose that the credential is bound to
	// Authority is the subject of the authority that the caller's own statements bear. The scope
	// statements/read/mine sees those; uuid.Nil: none.
	Authority uuid.UUID
}

// Request is what a caller wants to do: one of the actions on one of the resources.
type Request struct {
	Caller   Caller
	Action   string
	Resource string
}

// Form is how a person appears in what is shown.
type Form string

// The forms. A decision about a resource without statements has none.
const (
	Identified    Form = "identified"    // as sent
	Pseudonymised Form = "pseudonymised" // columns of the decision only, re-keyed for its audience, times truncated
)

// Decision is a yes, and its bounds. It is the caller's own copy.
type Decision struct {
	Form Form
	// Filter is over query.Statements: the rows that may be seen. It is query.False for a resource without
	// statements.
	Filter query.Node
	// Columns that are shown; what is not in it with true is masked. The names are those of
	// query.Statements, version, and frame for the statement as sent.
	Columns  map[string]bool
	Grants   []string // ids of the grants that allowed it, sorted
	Revision string   // digest of the policy bundle
	Audience string   // for whom pseudonyms are made; empty in the identified form
}

// Options of a gate. Zero values are good defaults.
type Options struct {
	Timeout time.Duration    // of one decision, once the grants are read; 2 s
	Fresh   time.Duration    // how old grants and purposes may be; 500 ms
	Now     func() time.Time // time.Now
}

// Gate decides. It is safe for concurrent use.
type Gate struct {
	timeout time.Duration
	tenants *tenants
	rules   atomic.Pointer[rules]
	grants  func(context.Context, *snapshot, Request) ([]string, error)
	ruling  func(context.Context, *rules, *snapshot, Request) (ruling, error)
}

// New makes a gate with the bundle's policy. The grants come from db, tenant by tenant.
func New(ctx context.Context, db *database.DB, bundle fs.FS, o Options) (*Gate, error) {
	if o.Timeout == 0 {
		o.Timeout = 2 * time.Second
	}
	if o.Fresh == 0 {
		o.Fresh = 500 * time.Millisecond
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	g := &Gate{timeout: o.Timeout, tenants: newTenants(db, o.Fresh, o.Now), grants: askGrants, ruling: askRules}
	return g, g.Load(ctx, bundle)
}

// Load puts a policy bundle in force. It compiles and tries the bundle first: if anything is wrong with
// it the policy before it stays.
func (g *Gate) Load(ctx context.Context, bundle fs.FS) error {
	r, err := loadRules(ctx, bundle)
	if err != nil {
		return fmt.Errorf("load policy: %w; the policy in force is unchanged", err)
	}
	g.rules.Store(r)
	return nil
}

// Revision is the digest of the policy in force, in hex.
func (g *Gate) Revision() string { return g.rules.Load().revision }

// readTime is how much longer than the engines the grants may take: they queue for a connection like all other work, for ten seconds at most.
const readTime = 10 * time.Second

// Decide answers a request. The error is ErrDenied whenever it is not nil.
func (g *Gate) Decide(ctx context.Context, r Request) (Decision, error) {
	if !slices.Contains(actions, r.Action) || !slices.Contains(resources, r.Resource) {
		return Decision{}, fmt.Errorf("%w: no such action or resource: %q on %q", ErrDenied, r.Action, r.Resource)
	}
	if len(r.Caller.Scopes) > len(scopes) {
		return Decision{}, fmt.Errorf("%w: more scopes than there are", ErrDenied)
	}
	reading, read := context.WithTimeout(ctx, g.timeout+readTime)
	defer read()
	s, err := g.tenants.snapshot(reading, r.Caller.Tenant)
	if err != nil {
		return Decision{}, undecided(r, err)
	}
	ctx, cancel := context.WithTimeout(ctx, g.timeout)
	defer cancel()
	policy := g.rules.Load()
	key := keyOf(policy, r)
	if d, ok := s.decided(key); ok {
		return d.copy(), nil
	}
	d, err := g.ask(ctx, policy, s, r)
	if err != nil {
		return Decision{}, err
	}
	s.keep(key, d)
	return d.copy(), nil
}

// ask asks both engines, apart from the caller: one that hangs is left behind when the time is up.
func (g *Gate) ask(ctx context.Context, policy *rules, s *snapshot, r Request) (Decision, error) {
	type answer struct {
		decision Decision
		err      error
	}
	answered := make(chan answer, 1)
	go func() {
		a := answer{err: undecided(r, errors.New("an engine panicked"))} // what a panic leaves
		defer func() {
			if recover() != nil {
				a.decision = Decision{}
			}
			answered <- a
		}()
		a.decision, a.err = g.both(ctx, policy, s, r)
	}()
	select {
	case a := <-answered:
		return a.decision, a.err
	case <-ctx.Done():
		return Decision{}, undecided(r, ctx.Err())
	}
}

// both is the AND of the two engines.
func (g *Gate) both(ctx context.Context, policy *rules, s *snapshot, r Request) (Decision, error) {
	grants, err := g.grants(ctx, s, r)
	if err != nil {
		return Decision{}, refused(r, err)
	}
	if len(grants) == 0 {
		return Decision{}, refused(r, fmt.Errorf("%w: no grant", ErrDenied))
	}
	said, err := g.ruling(ctx, policy, s, r)
	if err != nil {
		return Decision{}, refused(r, err)
	}
	if err := said.complete(r); err != nil {
		return Decision{}, refused(r, err)
	}
	slices.Sort(grants)
	return Decision{
		Form: said.form, Filter: said.filter, Columns: said.columns, Audience: said.audience,
		Grants: slices.Compact(grants), Revision: policy.revision,
	}, nil
}

// refused words an engine's answer: a plain denial, or one because the engine failed.
func refused(r Request, err error) error {
	if errors.Is(err, ErrDenied) && !errors.Is(err, ErrUndecided) {
		return fmt.Errorf("to %s %s: %w", r.Action, r.Resource, err)
	}
	return undecided(r, err)
}

func undecided(r Request, err error) error {
	return fmt.Errorf("to %s %s: %w: %w: %w", r.Action, r.Resource, ErrDenied, ErrUndecided, err)
}

func (d Decision) copy() Decision {
	d.Columns, d.Grants = maps.Clone(d.Columns), slices.Clone(d.Grants)
	return d
}
