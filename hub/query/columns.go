package query

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"
)

// Type is the Postgres type of a column, and says which values it takes.
type Type string

// The types. In brackets: the value that a filter holds against a column of it.
const (
	Text        Type = "text"             // (string)
	UUID        Type = "uuid"             // (string: 36 characters, lower case)
	TimestampTZ Type = "timestamptz"      // (string in TimestampFormat)
	Double      Type = "double precision" // (number)
	Integer     Type = "integer"          // (whole number)
	BigInt      Type = "bigint"           // (whole number)
	Boolean     Type = "boolean"          // (truth value)
)

// Column says how SQL reaches a column that a filter names. Both texts are written by us, never by a
// policy or a caller.
type Column struct {
	// Expr is the SQL expression of the column; its value is of Type, or a key where Lookup is set.
	Expr     string
	Type     Type
	Nullable bool // the column may be NULL
	// Lookup is set where the row holds the key of a dictionary row and a filter names the dictionary's
	// value. A condition becomes one on the key, computed once a query, so that an index on Expr serves.
	Lookup *Lookup
}

// Lookup names a dictionary table: Key and Value are its columns.
type Lookup struct{ Table, Key, Value string }

// Columns is an allow-list: the names that a filter may use.
type Columns map[string]Column

// tenant is the transaction's tenant, the same setting that row-level security reads. It is used and
// not a column of the outer row, because a subquery that depends on no row is computed once.
const tenant = "current_setting('lrshub.tenant')::integer"

// Statements are the columns of the statement table under the alias s.
var Statements = Columns{
	"id":           {Expr: "s.id", Type: UUID},
	"actor":        {Expr: "s.actor", Type: UUID},     // subject
	"authority":    {Expr: "s.authority", Type: UUID}, // subject
	"verb":         {Expr: "s.verb", Type: Text, Lookup: &Lookup{Table: "verb", Key: "id", Value: "iri"}},
	"object":       {Expr: "s.object", Type: UUID, Nullable: true}, // blind key of an activity, subject, or id of a statement
	"object_kind":  {Expr: "s.object_kind", Type: Integer},
	"registration": {Expr: "s.registration", Type: UUID, Nullable: true},
	"timestamp":    {Expr: `s."timestamp"`, Type: TimestampTZ},
	"stored":       {Expr: "s.stored", Type: TimestampTZ},
	"score_scaled": {Expr: "s.score_scaled", Type: Double, Nullable: true},
	"score_raw":    {Expr: "s.score_raw", Type: Double, Nullable: true},
	"score_min":    {Expr: "s.score_min", Type: Double, Nullable: true},
	"score_max":    {Expr: "s.score_max", Type: Double, Nullable: true},
	"success":      {Expr: "s.success", Type: Boolean, Nullable: true},
	"completion":   {Expr: "s.completion", Type: Boolean, Nullable: true},
	"duration":     {Expr: "s.duration", Type: Double, Nullable: true}, // seconds
	"connection":   {Expr: "s.connection_id", Type: UUID, Nullable: true},
	"purpose":      {Expr: "s.purpose", Type: Text, Lookup: &Lookup{Table: "purpose", Key: "id", Value: "name"}},
	// OFFSET 0: a probe for each row, where the planner might read all voidings for every page. A voiding statement is never voided (Data 2.3.2), and no other by one
	// of another purpose.
	"voided": {Expr: "(EXISTS (SELECT FROM voiding AS v WHERE v.tenant_id = s.tenant_id AND v.target = s.id AND v.purpose = s.purpose OFFSET 0)" +
		" AND NOT EXISTS (SELECT FROM voiding AS v WHERE v.tenant_id = s.tenant_id AND v.statement_id = s.id OFFSET 0))", Type: Boolean},
}

// Names lists the columns, sorted.
func (c Columns) Names() []string { return slices.Sorted(maps.Keys(c)) }

func (c Columns) find(name string) (Column, error) {
	column, ok := c[name]
	if !ok {
		return Column{}, fmt.Errorf("%w %q: a filter may name %s", ErrUnknownColumn, name, strings.Join(c.Names(), ", "))
	}
	return column, nil
}

// value checks v against the type of the column and gives its plain form.
func (c Column) value(name string, v any) (any, error) {
	p, err := plain(v)
	if err != nil {
		return nil, fmt.Errorf("column %s: %w", name, err)
	}
	ok := false
	switch c.Type {
	case Text:
		_, ok = p.(string)
	case UUID:
		s, is := p.(string)
		id, err := uuid.Parse(s)
		ok = is && err == nil && id.String() == s
	case TimestampTZ:
		s, is := p.(string)
		t, err := time.Parse(TimestampFormat, s)
		ok = is && err == nil && len(s) == len(TimestampFormat) && t.Year() > 0
	case Double:
		switch n := p.(type) {
		case int64:
			p, ok = float64(n), true
		case float64:
			ok = true
		}
	case Integer:
		n, is := p.(int64)
		ok = is && int64(int32(n)) == n
	case BigInt:
		_, ok = p.(int64)
	case Boolean:
		_, ok = p.(bool)
	}
	if !ok {
		return nil, fmt.Errorf("column %s: %w %s", name, ErrType, c.wants())
	}
	return p, nil
}

func (c Column) wants() string {
	switch c.Type {
	case UUID:
		return "uuid: 36 characters in lower case"
	case TimestampTZ:
		return "timestamptz: UTC with six decimals, as " + TimestampFormat
	}
	return string(c.Type)
}

// check refuses an operator that the column's type does not have.
func (c Column) check(name string, op Op) error {
	if !op.known() {
		return fmt.Errorf("column %s: %w %q", name, ErrUnknownOp, op)
	}
	if op.onlyText() && c.Type != Text {
		return fmt.Errorf("column %s: %w %q for type %s", name, ErrUnknownOp, op, c.Type)
	}
	return nil
}
