package mapping_test

import (
	"errors"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/lrshub/lrshub/hub/mapping"
	"github.com/lrshub/lrshub/plugins/contract"
)

func staff() []contract.Stream {
	opt := func(name string, t contract.Type) contract.Field {
		return contract.Field{Name: name, Type: t, Optional: true}
	}
	job := contract.Field{Type: contract.Object, Fields: []contract.Field{opt("title", contract.String), opt("from", contract.String), opt("until", contract.Timestamp)}}
	return []contract.Stream{
		{Name: "unit", Key: []string{"id"}, Fields: []contract.Field{{Name: "id", Type: contract.Int}, opt("label", contract.String), opt("secret", contract.String)}},
		{Name: "employee", Key: []string{"id"}, Subject: "id", Fields: []contract.Field{
			{Name: "id", Type: contract.Int}, opt("mail", contract.String), opt("confirmed", contract.Bool), opt("boss", contract.Int), opt("unit", contract.Int),
			opt("number", contract.Int), opt("full_name", contract.String), {Name: "jobs", Type: contract.List, Optional: true, Elem: &job},
		}},
	}
}

const staffMapping = `
name: staff
version: 1
params: {company: {default: acme}}
streams:
  unit:
  employee:
    subject: {account: {homePage: "https://hr.example", name: "${string(record.id)}"}}
    lookups: {unit: {on: {id: "record.?unit"}}}
    person:
      when: record.id > 0
      facts:
        - kind: role
          for: record.?jobs.orValue([])
          as: job
          value: job.?title
          from: job.?from
          until: job.?until
        - {kind: unit, value: "unit == null ? omit : unit.label"}
        - kind: manager
          when: has(record.boss)
          agent: {account: {homePage: "https://hr.example", name: "${string(record.boss)}"}}
        - {kind: x_desk, value: record.id * 2}
      claims:
        - {kind: employee_number, value: "record.?number", issuer: params.company}
        - {kind: mailbox, value: "record.?mail", verified: "record.?confirmed.orValue(false)"}
`

func day(text string) *time.Time {
	t, err := time.Parse(time.DateOnly, text)
	if err != nil {
		panic(err)
	}
	return &t
}

func says(t *testing.T, m *mapping.Mapping, record string, units ...[]byte) (mapping.Person, error) {
	t.Helper()
	e, err := m.Begin("employee", []byte(record))
	if err != nil {
		t.Fatal(err)
	}
	if needs, err := e.Needs(); err != nil {
		t.Fatal(err)
	} else if len(needs) > 0 {
		if err := e.Supply("unit", units...); err != nil {
			t.Fatal(err)
		}
	}
	if made, err := e.Statements(); err != nil || len(made) != 0 {
		t.Fatalf("statements: %v, %v", made, err)
	}
	return e.Person()
}

func TestPerson(t *testing.T) {
	m, err := mapping.Load([]byte(staffMapping), staff())
	if err != nil {
		t.Fatal(err)
	}
	if m.Converts("employee") || !m.Tells("employee") || m.Tells("unit") {
		t.Error("employees give facts and no statements, units neither")
	}
	if diff := cmp.Diff([]string{"boss", "confirmed", "id", "jobs.from", "jobs.title", "jobs.until", "mail", "number", "unit"}, m.Fields("employee")); diff != "" {
		t.Errorf("fields that are kept: %s", diff)
	}
	if diff := cmp.Diff([]string{"label"}, m.Fields("unit")); diff != "" {
		t.Errorf("fields of units that are kept: %s", diff)
	}
	got, err := says(t, m, `{"id":7,"mail":"MAILTO:Ann@Example.org","confirmed":true,"boss":3,"unit":5,"number":70,"jobs":[
		{"title":" Nurse ","from":"2024-01-31","until":"2025-06-01T02:00:00+02:00"},{"title":"","from":"2025-06-01"},{"title":"Head nurse","from":"2025-06-01"}]}`, []byte(`{"id":5,"label":"Ward 3"}`))
	if err != nil {
		t.Fatal(err)
	}
	want := mapping.Person{
		Facts: []mapping.Fact{
			{Kind: "role", Value: "Nurse", From: day("2024-01-31"), Until: day("2025-06-01")}, {Kind: "role", Value: "Head nurse", From: day("2025-06-01")},
			{Kind: "unit", Value: "Ward 3"}, {Kind: "manager", Agent: []byte(`{"account":{"homePage":"https://hr.example","name":"3"}}`)}, {Kind: "x_desk", Value: "14"}},
		Claims: []mapping.Claim{{Kind: "employee_number", Value: "70", Issuer: "acme"}, {Kind: "mailbox", Value: "ann@example.org", Verified: true}},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if got, err = says(t, m, `{"id":0,"number":70}`); err != nil || len(got.Facts)+len(got.Claims) > 0 {
		t.Errorf("a record that the section leaves out says %v, %v", got, err)
	}
}

// What a record says wrongly makes an error that names the place and no value.
func TestPersonErrors(t *testing.T) {
	m, err := mapping.Load([]byte(staffMapping), staff())
	if err != nil {
		t.Fatal(err)
	}
	for record, want := range map[string]string{
		`{"id":7,"jobs":[{"title":"Nurse","from":"last s3cret"}]}`:                               "person.facts[0].from",
		`{"id":7,"jobs":[{"title":"Nurse","from":"2025-01-02","until":"2025-01-01T00:00:00Z"}]}`: "person.facts[0].until",
		`{"id":7,"mail":"s3cret"}`:                       "person.claims[1].value",
		`{"id":7,"mail":"Ann S3cret <ann@example.org>"}`: "person.claims[1].value",
		`{"id":7,"jobs":[{"title":"` + strings.Repeat("s3cret", 200) + `","from":"2025-01-02"}]}`: "person.facts[0].value",
	} {
		_, err := says(t, m, record)
		var failed *mapping.EvalError
		if !errors.As(err, &failed) || failed.Path != want || strings.Contains(strings.ToLower(err.Error()), "s3cret") || strings.Contains(err.Error(), "2025") {
			t.Errorf("want an error at %s without values, got %v", want, err)
		}
	}
}

func TestPersonOnLoad(t *testing.T) {
	for from, to := range map[string][2]string{
		"job.?title":                {"job.?titel", "did you mean"},
		"{kind: unit,":              {"{kind: unnit,", "did you mean \"unit\"?"},
		"{kind: x_desk, value":      {"{kind: manager, value", "a manager is a person"},
		`"record.?number", issuer`:  {`"record.?full_name", issuer`, "nobody is recognised by a name (full_name)"},
		"{kind: mailbox, value":     {"{kind: nickname, value", "nobody is recognised by"},
		"issuer: params.company":    {"verified: \"true\"", "only a mailbox is verified"},
		"from: job.?from":           {"from: record.id", "the expression gives a number"},
		"value: record.id * 2":      {"about: none", "a fact has a value, or an agent"},
		"value: job.?title":         {"value: record.jobs", "the expression gives a list"},
		"      when: record.id > 0": {"      what: record.id > 0", "unknown key"},
	} {
		if !strings.Contains(staffMapping, from) {
			t.Fatalf("the mapping has no %q", from)
		}
		_, err := mapping.Load([]byte(strings.Replace(staffMapping, from, to[0], 1)), staff())
		var complaint *mapping.Error
		if !errors.As(err, &complaint) || complaint.Line == 0 || !strings.Contains(err.Error(), to[1]) {
			t.Errorf("%q instead of %q: want a line and %q, got %v", to[0], from, to[1], err)
		}
	}
}

func TestPersonFixtures(t *testing.T) {
	folder := fstest.MapFS{
		"one/input.json":  {Data: []byte(`{"id":7,"number":70}`)},
		"one/person.json": {Data: []byte(`{"facts":[{"kind":"x_desk","value":"14"}],"claims":[{"issuer":"acme","kind":"employee_number","value":"70"}]}`)},
	}
	report, err := mapping.Test([]byte(staffMapping), staff(), folder, nil)
	if err != nil || !report.OK() {
		t.Fatal(report, err)
	}
	folder["one/person.json"].Data = []byte(`{"facts":[{"kind":"x_desk","value":"15"},{"kind":"role","value":"nurse"}]}`)
	if report, err = mapping.Test([]byte(staffMapping), staff(), folder, nil); err != nil || report.OK() {
		t.Fatal(report, err)
	}
	for _, want := range []string{`~ person.facts[0]: want {"kind":"x_desk","value":"15"}, got {"kind":"x_desk","value":"14"}`, "- person.facts[1]: ", "+ person.claims[0]: "} {
		if !strings.Contains(report.String(), want) {
			t.Errorf("the report does not say %q:\n%s", want, report)
		}
	}
}
