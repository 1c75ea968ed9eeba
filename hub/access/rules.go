package access

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"strings"

	"github.com/google/uuid"
	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/rego"
	"github.com/open-policy-agent/opa/v1/rego/compile"
	"github.com/open-policy-agent/opa/v1/storage/inmem"
)

// ErrPolicy means that a policy bundle cannot be put in force.
var ErrPolicy = errors.New("policy not valid")

// Where the bundle has its answers. Each must exist, or the bundle is refused.
const (
	allowRule    = "data.lrshub.request.allow"
	includeRule  = "data.lrshub.statements.include"
	masksRule    = "data.lrshub.statements.masks"
	formRule     = "data.lrshub.statements.form"
	audienceRule = "data.lrshub.statements.audience"
)

// table is what the rules call a row, in input and in masks.
const table = "statement"

// maxBundle bounds the text of a bundle in bytes.
const maxBundle = 4 << 20

// rules is a policy bundle, compiled and ready to be asked. It does not change.
type rules struct {
	revision string
	allow    rego.PreparedEvalQuery
	form     rego.PreparedEvalQuery
	audience rego.PreparedEvalQuery
	rows     *compile.Prepared
	partial  rego.PreparedPartialQuery // include again, to check what rows says of it
}

// loadRules compiles a bundle and tries it out.
func loadRules(ctx context.Context, bundle fs.FS) (r *rules, err error) {
	defer func() {
		if recover() != nil {
			r, err = nil, fmt.Errorf("%w: OPA panics on it", ErrPolicy)
		}
	}()
	modules, data, revision, err := readBundle(bundle)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrPolicy, err)
	}
	c := ast.NewCompiler().WithStrict(true).WithCapabilities(capabilities())
	if c.Compile(modules); c.Failed() {
		return nil, fmt.Errorf("%w: %w", ErrPolicy, c.Errors)
	}
	for _, name := range []string{allowRule, includeRule, masksRule, formRule, audienceRule} {
		if len(c.GetRulesExact(ast.MustParseRef(name))) == 0 {
			return nil, fmt.Errorf("%w: it has no rule %s", ErrPolicy, name)
		}
	}
	r, err = prepare(ctx, c, data)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrPolicy, err)
	}
	r.revision = revision
	if err := r.try(ctx); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrPolicy, err)
	}
	return r, nil
}

// capabilities are OPA's without what reaches out or answers differently each time: a decision depends on
// its input and the bundle, and on nothing else.
func capabilities() *ast.Capabilities {
	c := ast.CapabilitiesForThisVersion()
	var pure []*ast.Builtin
	for _, b := range c.Builtins {
		if !b.IsNondeterministic() {
			pure = append(pure, b)
		}
	}
	c.Builtins = pure
	c.AllowNet = []string{}
	return c
}

func readBundle(bundle fs.FS) (modules map[string]*ast.Module, data map[string]any, revision string, err error) {
	names, err := fs.Glob(bundle, "*.rego")
	if err != nil {
		return nil, nil, "", err
	}
	modules, data = map[string]*ast.Module{}, map[string]any{}
	digest, size := sha256.New(), 0
	for _, name := range append(names, "data.json") {
		if strings.HasSuffix(name, "_test.rego") {
			continue
		}
		text, err := fs.ReadFile(bundle, name)
		if err != nil {
			return nil, nil, "", err
		}
		if size += len(text); size > maxBundle {
			return nil, nil, "", fmt.Errorf("larger than %d bytes", maxBundle)
		}
		part(digest, name)
		part(digest, string(text))
		if name == "data.json" {
			d := json.NewDecoder(bytes.NewReader(text))
			d.UseNumber()
			err = d.Decode(&data)
		} else {
			modules[name], err = ast.ParseModule(name, string(text))
		}
		if err != nil {
			return nil, nil, "", fmt.Errorf("%s: %w", name, err)
		}
	}
	return modules, data, hex.EncodeToString(digest.Sum(nil)), nil
}

func prepare(ctx context.Context, c *ast.Compiler, data map[string]any) (*rules, error) {
	store := inmem.NewFromObject(data)
	// Strict: a built-in function that fails is an error and with it a denial; else it would be undefined,
	// and `not` of it true.
	options := func(more ...func(*rego.Rego)) []func(*rego.Rego) {
		return append([]func(*rego.Rego){rego.Compiler(c), rego.Store(store), rego.StrictBuiltinErrors(true)}, more...)
	}
	r := &rules{}
	var err error
	for _, q := range []struct {
		to   *rego.PreparedEvalQuery
		rule string
	}{{&r.allow, allowRule}, {&r.form, formRule}, {&r.audience, audienceRule}} {
		if *q.to, err = rego.New(options(rego.Query(q.rule))...).PrepareForEval(ctx); err != nil {
			return nil, err
		}
	}
	if r.partial, err = rego.New(options(rego.Query(includeRule))...).PrepareForPartial(ctx); err != nil {
		return nil, err
	}
	r.rows, err = compile.New(
		compile.Target("ucast", "all"),
		compile.ParsedUnknowns(unknown()),
		compile.ParsedQuery(ast.MustParseBody(includeRule)),
		compile.MaskRule(ast.MustParseRef(masksRule)),
		compile.Rego(options()...),
	).Prepare(ctx)
	return r, err
}

func unknown() *ast.Term { return ast.MustParseTerm("input." + table) }

// try asks the rules on behalf of one caller for each scope, and one with none, who must get nothing. So a
// rule that cannot become a filter is found when the policy is loaded, not when somebody reads.
func (r *rules) try(ctx context.Context) error {
	for _, held := range append([][]string{nil, scopes}, each(scopes)...) {
		for _, resource := range []string{Statements, Export} {
			caller := Caller{Client: uuid.Max, Scopes: held, Purpose: "p", Authority: uuid.Max}
			_, err := askRules(ctx, r, &snapshot{purposes: []string{"p"}}, Request{caller, Read, resource})
			if err == nil && held == nil {
				return fmt.Errorf("it lets a caller without any scope read %s", resource)
			}
			if err != nil && !errors.Is(err, ErrDenied) {
				return fmt.Errorf("scopes %v, read %s: %w", held, resource, err)
			}
		}
	}
	return nil
}

func each(values []string) [][]string {
	lists := make([][]string, len(values))
	for i := range values {
		lists[i] = values[i : i+1]
	}
	return lists
}
