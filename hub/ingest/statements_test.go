package ingest_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"github.com/lrshub/lrshub/hub/access"
	"github.com/lrshub/lrshub/hub/database"
	"github.com/lrshub/lrshub/hub/people"
	"github.com/lrshub/lrshub/hub/records"
	"github.com/lrshub/lrshub/hub/xapi"
)

func caller(tenant database.TenantID) access.Caller {
	return access.Caller{Tenant: tenant, Client: uuid.MustParse("5b1fa8a5-04fa-4b46-9b8d-2c53a4ee4f21"), Purpose: people.DefaultPurpose}
}

func (w *world) post(c access.Caller, define bool, version xapi.Version, texts ...string) ([]uuid.UUID, error) {
	w.Helper()
	batch, err := xapi.ParseBatch([]byte("["+strings.Join(texts, ",")+"]"), version, 1000)
	if err != nil {
		w.Fatal(err)
	}
	return w.road.Statements(w.Context(), c, define, batch)
}

func (w *world) mustPost(texts ...string) []uuid.UUID {
	w.Helper()
	ids, err := w.post(caller(one), false, xapi.V2, texts...)
	if err != nil {
		w.Fatal(err)
	}
	return ids
}

// said is a small statement; more goes in at its end.
func said(id uuid.UUID, name, more string) string {
	return fmt.Sprintf(`{"id":%q,"actor":{"mbox":"mailto:%s@example.org"},"verb":{"id":"http://adlnet.gov/expapi/verbs/%s"},"object":{"id":"https://school.example/a"}%s}`, id, name, name, more)
}

func TestRepeatsAndConflicts(t *testing.T) {
	w := newWorld(t)
	id := uuid.New()
	if got := w.mustPost(said(id, "ann", "")); len(got) != 1 || got[0] != id {
		t.Errorf("ids %v", got)
	}
	w.mustPost(said(id, "ann", ""))
	w.mustPost(said(id, "ann", `,"stored":"2020-01-01T00:00:00Z","version":"2.0.0","authority":{"mbox":"mailto:boss@example.org"}`))
	fresh := uuid.New()
	if _, err := w.post(caller(one), false, xapi.V2, said(fresh, "bob", ""), said(id, "eve", "")); !errors.Is(err, records.ErrConflict) {
		t.Errorf("a conflict: %v", err)
	}
	equal(t, "statements", w.count("SELECT count(*) FROM statement"), 1)
	equal(t, "subjects", w.count("SELECT count(*) FROM subject"), 2) // ann and the client: a refused batch leaves nothing
	got := w.mustPost(said(id, "ann", ""), said(fresh, "bob", ""))
	if diff := cmp.Diff([]uuid.UUID{id, fresh}, got); diff != "" {
		t.Error(diff)
	}
	equal(t, "statements", w.count("SELECT count(*) FROM statement"), 2)
	if _, err := w.post(caller(two), false, xapi.V2, said(id, "eve", "")); err != nil {
		t.Errorf("another tenant has ids of its own: %v", err)
	}
	stranger := caller(one)
	stranger.Purpose = "curiosity"
	if _, err := w.post(stranger, false, xapi.V2, said(uuid.New(), "ann", "")); !errors.Is(err, people.ErrUnknownPurpose) {
		t.Errorf("an unknown purpose: %v", err)
	}
	equal(t, "events", w.count("SELECT count(*) FROM audit_event WHERE kind = 'ingest.statements'"), 5)
}

// A client that sends back what it read has the timestamp that the store set.
func TestTimestampThatTheStoreSet(t *testing.T) {
	w := newWorld(t)
	id := uuid.New()
	w.mustPost(said(id, "ann", ""))
	var stored time.Time
	if err := w.owner.QueryRow(`SELECT "timestamp" FROM statement WHERE id = $1`, id.String()).Scan(&stored); err != nil {
		t.Fatal(err)
	}
	w.mustPost(said(id, "ann", `,"timestamp":"`+xapi.FormatTime(stored)+`"`))
	timed := uuid.New()
	w.mustPost(said(timed, "ann", `,"timestamp":"2024-01-02T03:04:05.123456789+01:00"`))
	for text, conflict := range map[string]bool{
		`,"timestamp":"2024-01-02T02:04:05.123456Z"`: false, // as it was given out
		``: false,
		`,"timestamp":"2024-01-02T02:04:05.123457Z"`: true,
		`,"timestamp":"2024-01-02T03:04:05.123456Z"`: true,
	} {
		_, err := w.post(caller(one), false, xapi.V2, said(timed, "ann", text))
		if errors.Is(err, records.ErrConflict) != conflict || !conflict && err != nil {
			t.Errorf("%q: %v, want a conflict: %v", text, err, conflict)
		}
	}
	if err := w.owner.QueryRow(`SELECT "timestamp" FROM statement WHERE id = $1`, timed.String()).Scan(&stored); err != nil {
		t.Fatal(err)
	}
	equal(t, "as exact as the column", stored.UTC(), time.Date(2024, 1, 2, 2, 4, 5, 123456000, time.UTC))
	equal(t, "statements", w.count("SELECT count(*) FROM statement"), 2)
}

func TestAuthorityIsTheClients(t *testing.T) {
	w := newWorld(t)
	claim := `"authority":{"mbox":"mailto:boss@example.org","name":"The Boss"}`
	actor, verb, object := `"actor":{"mbox":"mailto:ann@example.org"}`, `"verb":{"id":"http://adlnet.gov/expapi/verbs/tried"}`, `"object":{"id":"https://school.example/a"}`
	for _, text := range []string{
		"{" + claim + "," + actor + "," + verb + "," + object + "}", "{" + actor + " , " + claim + " ," + verb + "," + object + "}",
		"{" + actor + "," + verb + "," + object + " , " + claim + " }",
	} {
		id := w.mustPost(text)[0]
		frame := string(w.open(id).frame)
		if strings.Contains(frame, "authority") || strings.Contains(frame, "boss") || !json.Valid([]byte(strings.ReplaceAll(frame, "\x00", ""))) {
			t.Errorf("kept %q", frame)
		}
	}
	equal(t, "authorities", w.count("SELECT count(DISTINCT authority) FROM statement"), 1)
	equal(t, "subjects", w.count("SELECT count(*) FROM subject"), 2)
	w.in(one, func(ctx context.Context, tx *database.Tx) error {
		id, err := w.vault.Find(ctx, tx, w.road.Authority("client", caller(one).Client).Identifier)
		if err != nil || w.count("SELECT count(*) FROM statement WHERE authority = $1", id.String()) != 3 {
			t.Errorf("the client's own authority: %v", err)
		}
		return nil
	})
	// With the id beside it, as a PUT has it.
	st, err := xapi.Parse([]byte("{"+claim+","+actor+","+verb+","+object+"}"), xapi.V2)
	if err != nil {
		t.Fatal(err)
	}
	st.ID, st.HasID = uuid.New(), true
	if ids, err := w.road.Statements(t.Context(), caller(one), false, []*xapi.Statement{st}); err != nil || ids[0] != st.ID {
		t.Errorf("stored as %v, want %s: %v", ids, st.ID, err)
	}
}

// opened is a statement's parts in plain.
type opened struct {
	frame  []byte
	actor  uuid.UUID
	agents map[xapi.Role][]uuid.UUID
	parts  [][]byte
}

// open opens a statement of tenant one; each agent opens under its own key only.
func (w *world) open(id uuid.UUID) opened {
	w.Helper()
	o := opened{agents: map[xapi.Role][]uuid.UUID{}}
	w.in(one, func(ctx context.Context, tx *database.Tx) error {
		var row struct {
			Actor uuid.UUID
			Frame []byte
		}
		if err := tx.GetContext(ctx, &row, "SELECT actor, frame FROM statement WHERE tenant_id = $1 AND id = $2", tx.Tenant, id); err != nil {
			return err
		}
		agents, err := records.AgentsOf(ctx, tx, []uuid.UUID{id})
		if err != nil {
			return err
		}
		o.actor = row.Actor
		if o.frame, err = w.unseal(ctx, tx, row.Actor, records.FrameContext(id), row.Frame); err != nil {
			return err
		}
		for _, a := range agents[id] {
			part, err := w.unseal(ctx, tx, a.Subject, records.AgentContext(id, a.Slot), a.Sealed)
			if err != nil {
				return err
			}
			o.agents[a.Role], o.parts = append(o.agents[a.Role], a.Subject), append(o.parts, part)
			if _, err := w.unseal(ctx, tx, row.Actor, records.AgentContext(id, a.Slot), a.Sealed); err == nil && a.Subject != row.Actor {
				w.Errorf("the actor's key opens the %s", a.Role)
			}
		}
		return nil
	})
	return o
}

func TestEveryRoleUnderItsOwnKey(t *testing.T) {
	w := newWorld(t)
	agent := func(name string) string { return `{"mbox":"mailto:` + name + `@example.org","name":"` + name + `"}` }
	group := func(name string, members ...string) string {
		for i := range members {
			members[i] = agent(members[i])
		}
		return `{"objectType":"Group","mbox":"mailto:` + name + `@example.org","member":[` + strings.Join(members, ",") + `]}`
	}
	text := `{"actor":` + group("class", "ann", "bob") + `,"verb":{"id":"http://adlnet.gov/expapi/verbs/planned"},"object":{"objectType":"SubStatement","actor":` + agent("subactor") +
		`,"verb":{"id":"http://adlnet.gov/expapi/verbs/met"},"object":` + strings.Replace(agent("subobject"), "{", `{"objectType":"Agent",`, 1) +
		`,"context":{"instructor":` + agent("subteacher") + `}},"context":{"instructor":` + agent("teacher") + `,"team":` + group("team", "cat") +
		`,"contextAgents":[{"objectType":"contextAgent","agent":` + agent("helper") + `}],"contextGroups":[{"objectType":"contextGroup","group":` + group("helpers", "dan") + `}]}}`
	o := w.open(w.mustPost(text)[0])
	counts := map[xapi.Role]int{}
	for role, list := range o.agents {
		counts[role] = len(list)
	}
	want := map[xapi.Role]int{xapi.RoleActor: 1, xapi.RoleObject: 1, xapi.RoleInstructor: 2, xapi.RoleTeam: 1, xapi.RoleContextAgent: 1, xapi.RoleContextGroup: 1, xapi.RoleMember: 4}
	if diff := cmp.Diff(want, counts); diff != "" {
		t.Error(diff)
	}
	equal(t, "subjects", w.count("SELECT count(*) FROM subject"), 13) // twelve in the statement, and the authority
	whole, err := xapi.Join(o.frame, o.parts)
	if err != nil || string(whole) != text {
		t.Errorf("joined: %v\n got %s\nwant %s", err, whole, text)
	}
	for _, name := range []string{"ann", "teacher", "helper", "team", "subactor"} {
		if strings.Contains(string(o.frame), "mailto:"+name+"@") {
			t.Errorf("%s is in the actor's frame: %q", name, o.frame)
		}
	}
}

func TestAnonymousGroups(t *testing.T) {
	w := newWorld(t)
	text := `{"actor":{"objectType":"Group","member":[{"mbox":"mailto:ann@example.org"},{"mbox":"mailto:bob@example.org"}]},"verb":{"id":"http://adlnet.gov/expapi/verbs/met"},` +
		`"object":{"id":"https://school.example/a"},"context":{"team":{"objectType":"Group","member":[{"mbox":"mailto:cat@example.org"}]}}}`
	first, second := w.open(w.mustPost(text)[0]), w.open(w.mustPost(text)[0])
	if first.actor == second.actor {
		t.Error("two anonymous groups are one subject")
	}
	equal(t, "members", [2]int{len(first.agents[xapi.RoleMember]), len(first.agents)}, [2]int{3, 1})
	if diff := cmp.Diff(first.agents, second.agents); diff != "" {
		t.Errorf("members: %s", diff)
	}
	if whole, err := xapi.Join(first.frame, first.parts); err != nil || string(whole) != text {
		t.Errorf("joined: %s, %v", whole, err)
	}
}

func TestRefusedWriteIsTold(t *testing.T) {
	w := newWorld(t)
	if err := w.road.Refused(t.Context(), caller(two), "denied"); err != nil {
		t.Fatal(err)
	}
	equal(t, "events", w.count("SELECT count(*) FROM audit_event WHERE tenant_id = 2 AND kind = 'ingest.refused'"), 1)
}
