package api_test

import (
	"net/http"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/lrshub/lrshub/hub/api"
	"github.com/lrshub/lrshub/hub/database/databasetest"
)

type found struct {
	Statements        []struct{ ID string }
	Count             *int64
	More              string
	ConsistentThrough time.Time
}

func TestQuery(t *testing.T) {
	o := newOffice(t)
	reader := o.client(databasetest.Default, "reader", "statements/read")
	registration := uuid.NewString()
	course := strings.Replace(said("ann", "passed", "c"), `school.example/c"`, `school.example/c","definition":{"type":"https://types.example/course"}`, 1)
	course = strings.TrimSuffix(course, "}") + `,"result":{"score":{"scaled":0.75},"success":true,"duration":"PT30S"},"context":{"registration":"` + registration + `"}}`
	ids := o.post(said("ann", "tried", "a"), said("bob", "met", "b"), course)
	for body, want := range map[string][]string{
		`{}`: {ids[2], ids[1], ids[0]},
		`{"verbs":["https://verbs.example/tried","https://verbs.example/passed"],"ascending":true}`:                              {ids[0], ids[2]},
		`{"activityTypes":["https://types.example/course"],"success":true,"scaled":{"min":0.7,"max":0.8},"duration":{"max":30}}`: {ids[2]},
		`{"agent":{"mbox":"mailto:ann@example.org"},"activities":["https://school.example/a","https://school.example/b"]}`:       {ids[0]},
		`{"registrations":["` + registration + `"],"since":"2020-01-01T00:00:00Z","to":"2090-01-01T00:00:00Z"}`:                  {ids[2]},
		`{"voided":true}`: {},
	} {
		var got found
		o.ask(reader, "POST", "/statements/query", body, http.StatusOK, &got)
		if len(got.Statements) != len(want) || got.Statements == nil || got.Count != nil || got.More != "" || got.ConsistentThrough.IsZero() {
			t.Fatalf("%s: %+v", body, got)
		}
		for i := range want {
			if got.Statements[i].ID != want[i] {
				t.Errorf("%s: %+v, want %v", body, got.Statements, want)
			}
		}
		var counted found
		o.ask(reader, "POST", "/statements/query", `{"count":true,`+strings.TrimPrefix(strings.Replace(body, "{}", `{"limit":1}`, 1), "{"), http.StatusOK, &counted)
		if counted.Count == nil || *counted.Count != int64(len(want)) || counted.Statements != nil {
			t.Errorf("%s: counted %+v", body, counted)
		}
	}
	var page, next found
	o.ask(reader, "POST", "/statements/query", `{"limit":2}`, http.StatusOK, &page)
	o.ask(reader, "POST", "/statements/query", `{"more":"`+page.More+`"}`, http.StatusOK, &next)
	if len(page.Statements) != 2 || len(next.Statements) != 1 || next.Statements[0].ID != ids[0] || next.More != "" {
		t.Errorf("pages %+v, %+v", page, next)
	}
	for body, say := range map[string]string{
		`{"more":"` + page.More + `","limit":2}`:                 "alone",
		`{"more":"nonsense"}`:                                    "start the query again",
		`{"verbs":["passed"]}`:                                   "each of verbs must be an IRI",
		`{"agent":{"mbox":"ann@secret.example"}}`:                "agent: /mbox",
		`{"agent":"ann@secret.example"}`:                         "agent",
		`{"registrations":["ann@secret.example"]}`:               "each of registrations must be a UUID",
		`{"limit":501}`:                                          "body.limit",
		`{"verb":"https://verbs.example/met"}`:                   "body.verb",
		`{"since":"yesterday"}`:                                  "body.since",
		`{"scaled":{"min":"ann@secret.example"}}`:                "body.scaled.min",
		`{"verbs":["` + strings.Repeat(`x:y","`, 100) + `x:y"]}`: "body.verbs",
	} {
		var p api.Problem
		o.ask(reader, "POST", "/statements/query", body, http.StatusUnprocessableEntity, &p)
		if !strings.Contains(p.Detail, say) || strings.Contains(p.Detail, "secret") {
			t.Errorf("%.60s: %s, want %q", body, p.Detail, say)
		}
	}
	analyst := o.client(databasetest.Default, "analyst", "statements/read/pseudonymised")
	var p api.Problem
	for _, body := range []string{`{"count":true}`, `{"agent":{"mbox":"mailto:ann@example.org"}}`, `{"activityTypes":["https://types.example/course"]}`} {
		var refused api.Problem
		if o.ask(analyst, "POST", "/statements/query", body, http.StatusForbidden, &refused); p.Detail != "" && !reflect.DeepEqual(p, refused) {
			t.Errorf("%s: %v, another refusal than %v", body, refused, p)
		}
		p = refused
	}
	o.ask(o.client(databasetest.Default, "writer", "statements/write"), "POST", "/statements/query", `{}`, http.StatusForbidden, nil)
}

func TestRegistrationsOfALearner(t *testing.T) {
	o := newOffice(t)
	reader := o.client(databasetest.Default, "reader", "statements/read")
	registration := uuid.NewString()
	in := strings.TrimSuffix(said("ann", "tried", "a"), "}") + `,"context":{"registration":"` + registration + `"}}`
	o.post(in, in, said("ann", "tried", "b"))
	const ask = `{"agent":{"mbox":"mailto:ann@example.org"}}`
	var list struct {
		Items []struct {
			Registration string
			Statements   int
			First, Last  time.Time
		}
	}
	o.ask(reader, "POST", "/registrations/query", ask, http.StatusOK, &list)
	if len(list.Items) != 1 || list.Items[0].Registration != registration || list.Items[0].Statements != 2 || !list.Items[0].First.Before(list.Items[0].Last) {
		t.Errorf("%+v", list)
	}
	o.ask(reader, "POST", "/registrations/query", `{}`, http.StatusUnprocessableEntity, nil)
	o.ask(reader, "POST", "/registrations/query", `{"agent":{"name":"ann"}}`, http.StatusUnprocessableEntity, nil)
	o.ask(o.client(databasetest.Other, "stranger", "statements/read"), "POST", "/registrations/query", ask, http.StatusOK, &list)
	if len(list.Items) > 0 {
		t.Errorf("to another tenant: %+v", list)
	}
	o.ask(o.client(databasetest.Default, "analyst", "statements/read/pseudonymised"), "POST", "/registrations/query", ask, http.StatusForbidden, nil)
}
