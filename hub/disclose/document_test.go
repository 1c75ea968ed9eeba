package disclose_test

import (
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/google/uuid"

	"github.com/lrshub/lrshub/hub/access"
	"github.com/lrshub/lrshub/hub/audit"
	"github.com/lrshub/lrshub/hub/disclose"
	"github.com/lrshub/lrshub/hub/ingest"
	"github.com/lrshub/lrshub/hub/records"
)

// An export has each document of the caller's tenant, purpose and kinds once, with all that names it, and the log tells whose they were. Who was
// shredded has none.
func TestExportDocuments(t *testing.T) {
	w := newWorld(t)
	put := func(c access.Caller, name records.DocumentName) {
		t.Helper()
		if err := w.in.PutDocument(t.Context(), c, name, ingest.Document{Content: []byte("of " + name.ID), ContentType: "text/x"}, ingest.Precondition{}); err != nil {
			t.Fatal(err)
		}
	}
	all, other, elsewhere := client(one, 10, "all"), client(one, 11, "all"), client(two, 12, "all")
	other.Purpose = "accreditation"
	registration := uuid.New()
	var want []string
	for i := range 450 { // several batches
		name := records.DocumentName{Kind: records.State, Activity: "https://school.example/a", Agent: agent(fmt.Sprint("p", i%7)).Identifier, Registration: registration, ID: fmt.Sprint("state ", i)}
		put(all, name)
		want = append(want, fmt.Sprintf("state %s %s %s %s", name.Activity, mbox(fmt.Sprint("p", i%7)), registration, name.ID))
	}
	put(all, records.DocumentName{Kind: records.AgentProfile, Agent: agent("p1").Identifier, ID: "profile"})
	put(all, records.DocumentName{Kind: records.ActivityProfile, Activity: "https://school.example/b", ID: "profile"})
	want = append(want, fmt.Sprintf("agent-profiles  %s %s profile", mbox("p1"), uuid.Nil), fmt.Sprintf("activity-profiles https://school.example/b  %s profile", uuid.Nil))
	put(other, records.DocumentName{Kind: records.AgentProfile, Agent: agent("p1").Identifier, ID: "another purpose's"})
	put(elsewhere, records.DocumentName{Kind: records.AgentProfile, Agent: agent("p1").Identifier, ID: "another tenant's"})
	export := func(c access.Caller) (list []string) {
		t.Helper()
		n, err := w.out.ExportDocuments(t.Context(), c, func(d disclose.ExportedDocument) error {
			agent := string(d.Agent)
			if agent != "" {
				agent = `{` + agent[len(`{"objectType":"Agent",`):]
			}
			list = append(list, fmt.Sprintf("%s %s %s %s %s", d.Resource, d.ActivityID, agent, d.Registration, d.ID))
			if string(d.Content) != "of "+d.ID || d.ContentType != "text/x" || d.Updated.IsZero() {
				t.Errorf("%+v", d)
			}
			return nil
		})
		if err != nil || n != int64(len(list)) {
			t.Fatalf("%d of %d: %v", n, len(list), err)
		}
		slices.Sort(list)
		return list
	}
	slices.Sort(want)
	if got := export(all); !slices.Equal(got, want) {
		t.Errorf("%d documents: %.3q", len(got), got)
	}
	if got := export(client(one, 13, "activities_profile/read")); len(got) != 1 {
		t.Errorf("of one kind: %v", got)
	}
	_, err := w.out.ExportDocuments(t.Context(), client(one, 14, "statements/read"), func(disclose.ExportedDocument) error { return nil })
	if !errors.Is(err, access.ErrDenied) {
		t.Errorf("by one who may not: %v", err)
	}
	var told int
	if err := w.owner.QueryRow(`SELECT count(DISTINCT s) FROM audit_event, unnest(subjects) s WHERE kind = $1`, audit.DocumentRead).Scan(&told); err != nil || told != 7 {
		t.Errorf("the log tells of %d people, %v", told, err)
	}
	if _, err := w.owner.Exec(`DELETE FROM subject_key WHERE tenant_id = 1 AND subject_id = (SELECT subject_id FROM document WHERE kind = 2 AND purpose = (SELECT id FROM purpose WHERE tenant_id = 1 AND name = 'learning-records'))`); err != nil {
		t.Fatal(err)
	}
	if got := export(all); len(got) != len(want)-65-1 { // p1 had 65 states and a profile
		t.Errorf("%d after p1 was shredded", len(got))
	}
}
