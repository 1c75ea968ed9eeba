package access

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/google/uuid"
	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/rego"

	"github.com/lrshub/lrshub/hub/query"
)

// ruling is what the data rules say of a request that they allow.
type ruling struct {
	form     Form
	filter   query.Node
	columns  map[string]bool
	audience string
}

// hasRows tells whether a request is answered with statements, so that rows, columns and form matter.
func hasRows(r Request) bool {
	return r.Action == Read && (r.Resource == Statements || r.Resource == Export)
}

// complete refuses a ruling with something missing: it must not be filled up with a default that shows more.
func (said ruling) complete(r Request) error {
	switch {
	case said.filter == nil:
		return errors.New("the rules gave no filter")
	case !hasRows(r):
		return nil
	case said.form != Identified && said.form != Pseudonymised:
		return errors.New("the rules gave no form")
	case said.form == Pseudonymised && said.audience == "":
		return errors.New("the rules gave no audience for the pseudonyms")
	case said.form == Pseudonymised && said.columns["frame"]:
		return errors.New("the rules would show the statement as sent in the pseudonymised form")
	}
	return nil
}

// askRules gives what OPA says. ErrDenied: the rules do not allow it; other errors: they failed.
func askRules(ctx context.Context, policy *rules, s *snapshot, r Request) (ruling, error) {
	input := inputOf(s, r)
	if allow, err := value(ctx, policy.allow, input); err != nil {
		return ruling{}, err
	} else if allow != true {
		return ruling{}, fmt.Errorf("%w: the policy does not allow it for these scopes and this purpose", ErrDenied)
	}
	if !hasRows(r) {
		return ruling{filter: query.False{}}, nil
	}
	filter, masks, err := policy.filter(ctx, input)
	if err != nil {
		return ruling{}, err
	}
	columns, err := shown(masks)
	if err != nil {
		return ruling{}, err
	}
	form, err := text(ctx, policy.form, input)
	if err != nil {
		return ruling{}, err
	}
	audience, err := text(ctx, policy.audience, input)
	return ruling{form: Form(form), filter: filter, columns: columns, audience: audience}, err
}

// inputOf is the input document of the rules; policies/statements.rego describes it.
func inputOf(s *snapshot, r Request) map[string]any {
	authority := ""
	if r.Caller.Authority != uuid.Nil {
		authority = r.Caller.Authority.String()
	}
	return map[string]any{
		"action":   r.Action,
		"resource": r.Resource,
		"caller": map[string]any{
			"client": r.Caller.Client.String(), "scopes": list(r.Caller.Scopes), "purpose": r.Caller.Purpose, "authority": authority,
		},
		"purposes": list(s.purposes),
	}
}

// list makes an empty list of a nil one: null has no members, and an error is not what is meant.
func list(values []string) []string {
	if values == nil {
		return []string{}
	}
	return values
}

// filter evaluates the row rule partially and makes a filter of what is left.
func (r *rules) filter(ctx context.Context, input map[string]any) (query.Node, map[string]any, error) {
	f, err := r.rows.Compile(ctx, rego.EvalInput(input)) // its own options: Compile appends to the list it is given
	if err != nil {
		return nil, nil, fmt.Errorf("row rule: %w", err)
	}
	made := f.For("ucast", "all")
	if made.Query == nil {
		return nil, nil, fmt.Errorf("%w: the policy shows this caller no rows", ErrDenied)
	}
	node, err := query.FromUCAST(made.Query, table, query.Statements)
	if err != nil {
		return nil, nil, fmt.Errorf("row rule: %w", err)
	}
	if _, all := node.(query.True); all {
		if err := r.provesAll(ctx, input); err != nil {
			return nil, nil, err
		}
	}
	if _, _, err := query.SQL(node, query.Statements, 1); err != nil {
		return nil, nil, fmt.Errorf("row rule: %w", err)
	}
	return node, made.Masks, nil
}

// provesAll checks that "every row" is what the rule says. The translation to UCAST has one value for
// "no condition is left" and for "a condition could not be translated", and must not be believed.
func (r *rules) provesAll(ctx context.Context, input map[string]any) error {
	left, err := r.partial.Partial(ctx, rego.EvalInput(input), rego.EvalParsedUnknowns([]*ast.Term{unknown()}))
	if err != nil {
		return fmt.Errorf("row rule: %w", err)
	}
	if !slices.ContainsFunc(left.Queries, func(b ast.Body) bool { return len(b) == 0 }) {
		return errors.New("row rule: a condition of it cannot become a filter")
	}
	return nil
}

// columns that a decision may show: those of a filter, and those that only the form needs.
var showable = append(query.Statements.Names(), "frame", "version")

// shown turns masks round: OPA names what to mask, here only a column with an explicit {} is shown. So a
// mask rule that is undefined, misspelt or did not apply hides.
func shown(masks map[string]any) (map[string]bool, error) {
	entries, _ := masks[table].(map[string]any)
	columns := map[string]bool{}
	for name, entry := range entries {
		if !slices.Contains(showable, name) {
			return nil, fmt.Errorf("masks: %w %q", query.ErrUnknownColumn, name)
		}
		if m, ok := entry.(map[string]any); ok && len(m) == 0 {
			columns[name] = true
		}
	}
	return columns, nil
}

// value evaluates a rule; nil is undefined.
func value(ctx context.Context, q rego.PreparedEvalQuery, input map[string]any) (any, error) {
	results, err := q.Eval(ctx, rego.EvalInput(input))
	if err != nil {
		return nil, fmt.Errorf("rules: %w", err)
	}
	if len(results) == 0 {
		return nil, nil
	}
	if len(results) > 1 || len(results[0].Expressions) != 1 {
		return nil, errors.New("rules: more than one answer")
	}
	return results[0].Expressions[0].Value, nil
}

// text is value for a rule that gives a text; "" is undefined.
func text(ctx context.Context, q rego.PreparedEvalQuery, input map[string]any) (string, error) {
	v, err := value(ctx, q, input)
	if err != nil || v == nil {
		return "", err
	}
	s, ok := v.(string)
	if !ok {
		return "", fmt.Errorf("rules: %T where a text should be", v)
	}
	return s, nil
}
