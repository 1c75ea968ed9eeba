package mapping_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/lrshub/lrshub/hub/mapping"
	"github.com/lrshub/lrshub/plugins/contract"
)

// BenchmarkFlat converts a record of 25 fields to a statement that names each of them once.
func BenchmarkFlat(b *testing.B) {
	fields := make([]contract.Field, 25)
	record := []string{}
	var template strings.Builder
	for i := range fields {
		fields[i] = contract.Field{Name: fmt.Sprintf("field_%02d", i), Type: contract.String}
		record = append(record, fmt.Sprintf(`"field_%02d": "value number %d"`, i, i))
		if i < 10 {
			fmt.Fprintf(&template, "            \"urn:x:%d\": \"${record.field_%02d}\"\n", i, i)
		} else {
			fmt.Fprintf(&template, "            \"urn:x:%d\": \"${record.field_%02d.upperAscii() + '!'}\"\n", i, i)
		}
	}
	document := `
name: flat
version: 1
streams:
  row:
    subject: {account: {homePage: "https://x.example", name: "${record.field_00}"}}
    statements:
      - name: all
        statement:
          verb: {id: "urn:verb"}
          object: {id: "urn:object"}
          result: {extensions: {
` + template.String() + "          }}\n"
	document = strings.ReplaceAll(document, "\"}\n", "\"}\n")
	document = strings.ReplaceAll(document, "extensions: {\n", "extensions: {\n")
	document = withCommas(document)
	m, err := mapping.Load([]byte(document), []contract.Stream{{Name: "row", Fields: fields}})
	if err != nil {
		b.Fatal(err)
	}
	run(b, m, "row", []byte("{"+strings.Join(record, ", ")+"}"))
}

// withCommas ends each extension line with a comma, for they stand inside braces.
func withCommas(document string) string {
	lines := strings.Split(document, "\n")
	for i, line := range lines {
		if strings.HasPrefix(line, `            "urn:x:`) {
			lines[i] = line + ","
		}
	}
	return strings.Join(lines, "\n")
}

func run(b *testing.B, m *mapping.Mapping, stream string, record []byte) {
	b.Helper()
	b.ReportAllocs()
	statements := 0
	for b.Loop() {
		e, err := m.Begin(stream, record)
		if err != nil {
			b.Fatal(err)
		}
		out, err := e.Statements()
		if err != nil {
			b.Fatal(err)
		}
		statements = len(out)
	}
	b.ReportMetric(float64(b.Elapsed().Microseconds())/float64(b.N)/float64(statements), "us/statement")
}

func BenchmarkOpenEdX(b *testing.B) {
	m, err := mapping.Load(document(b), openedxStreams(b))
	if err != nil {
		b.Fatal(err)
	}
	for name, pair := range map[string]string{
		"3 questions, 4 statements": "problem_check-server-multiple_questions-partial_correct",
		"4 questions, 5 statements": "problem_check-server-.list_answers",
		"video":                     "stop_video",
		"enrolment":                 "edx.course.enrollment.activated.enterprise",
	} {
		b.Run(name, func(b *testing.B) {
			record, err := os.ReadFile(filepath.Join(sharedData(b, "fixtures/edx/open"), pair, "input.json"))
			if err != nil {
				b.Fatal(err)
			}
			run(b, m, "event", record)
		})
	}
}

func BenchmarkLoadOpenEdX(b *testing.B) {
	text, streams := document(b), openedxStreams(b)
	for b.Loop() {
		if _, err := mapping.Load(text, streams); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkOULAD converts one result, with its two lookups.
func BenchmarkOULAD(b *testing.B) {
	_, _, m := example(b, "results.yaml")
	lookups := map[string][]byte{
		"assessment": []byte(`{"code_module":"AAA","code_presentation":"2013J","assessment_type":"TMA","weight":10.0}`),
		"course":     []byte(`{"module_presentation_length":268}`),
	}
	record := []byte(`{"id_assessment":1752,"id_student":11391,"date_submitted":18,"is_banked":false,"score":78.0}`)
	b.ReportAllocs()
	for b.Loop() {
		e, err := m.Begin("result", record)
		if err != nil {
			b.Fatal(err)
		}
		for {
			needs, err := e.Needs()
			if err != nil {
				b.Fatal(err)
			}
			if len(needs) == 0 {
				break
			}
			for _, need := range needs {
				if err := e.Supply(need.Name, lookups[need.Stream]); err != nil {
					b.Fatal(err)
				}
			}
		}
		if out, err := e.Statements(); err != nil || len(out) != 1 {
			b.Fatal(out, err)
		}
	}
}
