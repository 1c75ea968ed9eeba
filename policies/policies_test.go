package policies_test

import (
	"encoding/json"
	"io/fs"
	"strings"
	"testing"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/cover"
	"github.com/open-policy-agent/opa/v1/storage"
	"github.com/open-policy-agent/opa/v1/storage/inmem"
	"github.com/open-policy-agent/opa/v1/tester"

	"github.com/lrshub/lrshub/policies"
)

// TestRules runs the rules' own tests and wants each of them to pass and every line of the rules to be
// covered. `opa test . --coverage` runs the same.
func TestRules(t *testing.T) {
	modules, data := parse(t)
	store := inmem.NewFromObject(data)
	txn := storage.NewTransactionOrDie(t.Context(), store)
	coverage := cover.New()
	results, err := tester.NewRunner().SetStore(store).SetModules(modules).SetCoverageQueryTracer(coverage).
		CapturePrintOutput(true).RunTests(t.Context(), txn)
	if err != nil {
		t.Fatal(err)
	}
	ran := 0
	for r := range results {
		ran++
		if !r.Pass() {
			t.Errorf("%s.%s at %s fails (%v)\n%s", r.Package, r.Name, r.Location, r.Error, r.Output)
		}
	}
	if ran < 20 {
		t.Errorf("%d tests ran: the test files were not all found", ran)
	}
	for name, report := range coverage.Report(modules).Files {
		if strings.HasSuffix(name, "_test.rego") {
			continue
		}
		for _, gap := range report.NotCovered {
			t.Errorf("%s: lines %d to %d are covered by no test", name, gap.Start.Row, gap.End.Row)
		}
	}
}

// parse reads the bundle strictly: every unused variable or import is an error.
func parse(t *testing.T) (map[string]*ast.Module, map[string]any) {
	t.Helper()
	modules := map[string]*ast.Module{}
	names, err := fs.Glob(policies.Bundle(), "*.rego")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		text, err := fs.ReadFile(policies.Bundle(), name)
		if err != nil {
			t.Fatal(err)
		}
		if modules[name], err = ast.ParseModuleWithOpts(name, string(text), ast.ParserOptions{ProcessAnnotation: true}); err != nil {
			t.Fatal(err)
		}
	}
	c := ast.NewCompiler().WithStrict(true)
	if c.Compile(modules); c.Failed() {
		t.Fatal(c.Errors)
	}
	text, err := fs.ReadFile(policies.Bundle(), "data.json")
	if err != nil {
		t.Fatal(err)
	}
	var data map[string]any
	if err := json.Unmarshal(text, &data); err != nil {
		t.Fatal(err)
	}
	return modules, data
}
