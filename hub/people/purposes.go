// Package people holds what is known of the people in the records, beside the records: the purposes for which a tenant handles their data, and facts
// with validity (role, unit, location, manager, employment) that source records say of them. A purpose is bound to each credential and connection
// and stands in every statement; the data rules open a statement only to a caller of the same purpose.
//
// Start with FindPurpose (this file), and with Tell (facts.go), which stores what records say, and FactsAt (known.go), which asks what held on a date as it
// was known on another. derive.go says how one follows from the other.
package people

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/lrshub/lrshub/hub/audit"
	"github.com/lrshub/lrshub/hub/database"
)

var (
	// ErrUnknownPurpose means that the tenant has no purpose of that name. Its text lists those that it has.
	ErrUnknownPurpose = errors.New("unknown purpose")
	// ErrInvalidPurpose means that a new purpose's name or lawful basis is not acceptable.
	ErrInvalidPurpose = errors.New("purpose not valid")
	// ErrPurposeExists means that the tenant has a purpose of that name already.
	ErrPurposeExists = errors.New("purpose exists")
)

// DefaultPurpose is what a new tenant starts with.
const DefaultPurpose = "learning-records"

// Purpose is one purpose for which a tenant handles personal data (GDPR Art. 5(1)(b)).
type Purpose struct {
	ID          int32  `db:"id" json:"-"` // statement.purpose
	Name        string `db:"name" json:"name"`
	Basis       Basis  `db:"basis" json:"basis"`
	Description string `db:"description" json:"description"`
}

// Basis is a lawful basis of GDPR Art. 6(1).
type Basis string

// The lawful bases, in the order of Art. 6(1)(a) to (f).
const (
	Consent             Basis = "consent"
	Contract            Basis = "contract"
	LegalObligation     Basis = "legal-obligation"
	VitalInterests      Basis = "vital-interests"
	PublicTask          Basis = "public-task"
	LegitimateInterests Basis = "legitimate-interests"
)

var bases = []Basis{Consent, Contract, LegalObligation, VitalInterests, PublicTask, LegitimateInterests}

var purposeName = regexp.MustCompile(`^[a-z0-9][a-z0-9-]{0,62}$`)

// FindPurpose gives the tenant's purpose of that name, or ErrUnknownPurpose.
func FindPurpose(ctx context.Context, tx *database.Tx, name string) (Purpose, error) {
	var p Purpose
	err := tx.GetContext(ctx, &p, "SELECT id, name, basis, description FROM purpose WHERE tenant_id = $1 AND name = $2", tx.Tenant, name)
	if errors.Is(err, sql.ErrNoRows) {
		return Purpose{}, unknown(ctx, tx, name)
	}
	if err != nil {
		return Purpose{}, fmt.Errorf("find purpose: %w", err)
	}
	return p, nil
}

func unknown(ctx context.Context, tx *database.Tx, name string) error {
	purposes, err := Purposes(ctx, tx)
	if err != nil {
		return err
	}
	names := make([]string, len(purposes))
	for i, p := range purposes {
		names[i] = p.Name
	}
	known := "this tenant has none yet"
	if len(names) > 0 {
		known = "this tenant knows " + strings.Join(names, ", ")
	}
	return fmt.Errorf("%w %q: %s; add one with: lrshub purpose add NAME --basis BASIS", ErrUnknownPurpose, name, known)
}

// Purposes lists the tenant's purposes by name.
func Purposes(ctx context.Context, tx *database.Tx) ([]Purpose, error) {
	purposes := []Purpose{}
	err := tx.SelectContext(ctx, &purposes, "SELECT id, name, basis, description FROM purpose WHERE tenant_id = $1 ORDER BY name", tx.Tenant)
	if err != nil {
		return nil, fmt.Errorf("list purposes: %w", err)
	}
	return purposes, nil
}

// AddPurpose adds p to the tenant and tells the audit log; actor is the credential that asked. The id
// of p is ignored, and given in the result.
func AddPurpose(ctx context.Context, tx *database.Tx, now time.Time, actor string, p Purpose) (Purpose, error) {
	if !purposeName.MatchString(p.Name) {
		return Purpose{}, fmt.Errorf("%w: a name has lower-case letters, digits and hyphens, at most 63, such as %s", ErrInvalidPurpose, DefaultPurpose)
	}
	if !slices.Contains(bases, p.Basis) {
		return Purpose{}, fmt.Errorf("%w: the lawful basis is one of %v (GDPR Art. 6(1))", ErrInvalidPurpose, bases)
	}
	err := tx.GetContext(ctx, &p.ID, `INSERT INTO purpose (tenant_id, name, basis, description) VALUES ($1, $2, $3, $4)
		ON CONFLICT (tenant_id, name) DO NOTHING RETURNING id`, tx.Tenant, p.Name, p.Basis, p.Description)
	if errors.Is(err, sql.ErrNoRows) {
		return Purpose{}, fmt.Errorf("%w: %s", ErrPurposeExists, p.Name)
	}
	if err != nil {
		return Purpose{}, fmt.Errorf("add purpose: %w", err)
	}
	event := audit.Event{Kind: audit.PurposeAdded, Actor: actor, Fields: map[string]any{"purpose": p.Name, "basis": string(p.Basis)}}
	if err := audit.Record(ctx, tx, now, event); err != nil {
		return Purpose{}, err
	}
	return p, nil
}

// SeedDefault gives a tenant the purpose that it starts with. Called again, it changes nothing.
func SeedDefault(ctx context.Context, tx *database.Tx, now time.Time) error {
	_, err := AddPurpose(ctx, tx, now, "lrshub", Purpose{
		Name: DefaultPurpose, Basis: PublicTask,
		Description: "Keep and show the records of learning that the organisation exists for.",
	})
	if errors.Is(err, ErrPurposeExists) {
		return nil
	}
	return err
}
