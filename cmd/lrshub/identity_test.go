package main_test

import (
	"strings"
	"testing"
)

// Staff from one file, accounts of a learning system from another: the number that both have makes one person of two accounts, and of the mailbox that statements name.
const staffFile = `
connector: csv
link: [employee_number, mailbox]
config:
  files:
    - stream: staff
      file: %[1]s.csv
      key: [id]
      subject: id
      deletes: absence
      columns: {id: string, number: string, mail: string, title: string, since: string}
mapping:
  name: staff
  version: 1
  streams:
    staff:
      subject: {account: {homePage: "https://%[1]s.example", name: "${record.id}"}}
      person:
        facts:
          - {kind: role, value: "record.?title", from: "record.?since"}
        claims:
          - {kind: employee_number, value: "record.?number"}
          - {kind: mailbox, value: "record.?mail", verified: "true"}
`

func TestOnePersonManyAccounts(t *testing.T) {
	p := tenantOf(t, "identity").client("keeper", "persons/write", "connections/write", "statements/write", "statements/read")
	dir := folder(t)
	write(t, dir, "hr.csv", "id,number,mail,title,since\nann,7,ann@example.org,nurse,2024-01-31\nbob,8,office@example.org,cook,\n")
	write(t, dir, "lms.csv", "id,number,mail,title,since\nu1,7,,,\nu2,9,office@example.org,,\n")
	for _, name := range []string{"hr", "lms"} {
		p.add(name, write(t, dir, name+".yaml", staffFile, name), dir)
		p.must("sync", "run", name, "--wait")
	}
	var ann struct {
		Subjects []struct{ Subject string }
		Facts    []struct{ Kind, Value string }
		Links    []struct{ Kind string }
	}
	p.json(&ann, "person", "show", "--agent", "mailto:ann@example.org", "--as-of", "2025-01-01")
	if len(ann.Subjects) != 3 || len(ann.Links) != 2 || len(ann.Facts) != 1 || ann.Facts[0].Value != "nurse" {
		t.Errorf("ann is %+v", ann)
	}
	if text := p.must("person", "show", ann.Subjects[0].Subject); !strings.Contains(text, "https://hr.example") || !strings.Contains(text, "employee_number") {
		t.Errorf("shown as\n%s", text)
	}
	var list []struct{ ID, Issue string }
	p.json(&list, "person", "review")
	if len(list) != 1 || list[0].Issue != "disagree" {
		t.Fatalf("reviews %+v", list)
	}
	p.must("person", "review", list[0].ID, "--different")
	if text := p.must("person", "review", "-o", "csv"); strings.Count(text, "\n") != 1 {
		t.Errorf("it is still to be decided:\n%s", text)
	}
	p.must("person", "rule", "lms", "--nothing")
	p.json(&ann, "person", "show", "--agent", "mailto:ann@example.org")
	if len(ann.Subjects) != 2 {
		t.Errorf("without the learning system's claims ann is %+v", ann.Subjects)
	}
	p.must("person", "rule", "lms", "--on", "employee_number")
	p.json(&ann, "person", "show", "--agent", "mailto:ann@example.org")
	p.must("person", "split", ann.Subjects[0].Subject)
	p.json(&ann, "person", "show", ann.Subjects[0].Subject)
	if len(ann.Subjects) != 1 {
		t.Errorf("after a split: %+v", ann.Subjects)
	}
}
