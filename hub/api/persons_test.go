package api_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/lrshub/lrshub/hub/api"
	"github.com/lrshub/lrshub/hub/audit"
	"github.com/lrshub/lrshub/hub/database"
	"github.com/lrshub/lrshub/hub/database/databasetest"
	"github.com/lrshub/lrshub/hub/people"
	"github.com/lrshub/lrshub/hub/vault"
	"github.com/lrshub/lrshub/hub/xapi"
)

// register puts two accounts of one person, and one with whom they share a mailbox by mistake, into a tenant's register.
func (o *office) register(tenant database.TenantID) (subjects []uuid.UUID) {
	o.Helper()
	err := o.db.Tenant(o.Context(), tenant, func(ctx context.Context, tx *database.Tx) error {
		var ids []xapi.Identifier
		for _, name := range []string{"ann", "a7", "bob"} {
			ids = append(ids, xapi.Identifier{Kind: xapi.Account, HomePage: "https://hr.example", Name: name})
		}
		found, err := o.vault.Resolve(ctx, tx, ids)
		if err != nil {
			return err
		}
		t, err := o.vault.Tenant(tenant)
		if err != nil {
			return err
		}
		purpose, err := people.FindPurpose(ctx, tx, people.DefaultPurpose)
		if err != nil {
			return err
		}
		subjects = nil
		act := vault.Act{Actor: "test", Now: time.Now()}
		for i, id := range ids {
			subject, connection := found.Of(id), uuid.New()
			subjects = append(subjects, subject.ID)
			if err := o.vault.LinkOn(ctx, tx, act, connection, vault.LinkKinds()); err != nil {
				return err
			}
			claims := []vault.Claim{{Kind: "employee_number", Value: fmt.Sprint(i / 2)}, {Kind: "mailbox", Value: "office@example.org", Verified: true}}
			said := vault.Claims{Stream: 1, Record: []byte("r"), Subject: subject.ID, List: claims}
			if err := o.vault.Claim(ctx, tx, act, connection, []vault.Claims{said}); err != nil {
				return err
			}
			facts := people.Said{Stream: 1, Record: []byte("r"), Subject: subject, Facts: []people.SaidFact{{Kind: people.Role, Value: fmt.Sprint("role of ", i)}}}
			for _, purpose := range []int32{purpose.ID, purpose.ID + 1000} { // the second is another's
				if err := people.Tell(ctx, tx, t, people.Source{Connection: uuid.New(), Purpose: purpose}, act.Now, []people.Said{facts}); err != nil {
					return err
				}
			}
		}
		return nil
	})
	if err != nil {
		o.Fatal(err)
	}
	return subjects
}

type shown struct {
	Subjects []struct {
		Subject    uuid.UUID
		Identifier json.RawMessage
	}
	Facts []people.Fact
	Links []vault.Linked
}

func TestPersons(t *testing.T) {
	o := newOffice(t)
	subjects := o.register(databasetest.Default)
	others := o.register(databasetest.Other)
	keeper := o.client(databasetest.Default, "keeper", "persons/write")
	find := func(body string) (s shown) {
		t.Helper()
		o.ask(keeper, "POST", "/persons/find", body, http.StatusOK, &s)
		return s
	}
	ann := find(`{"agent":{"account":{"homePage":"https://hr.example","name":"a7"}}}`)
	if len(ann.Subjects) != 2 || len(ann.Facts) != 2 || len(ann.Links) != 1 || ann.Links[0].Kind != "employee_number" {
		t.Errorf("ann is %+v", ann)
	}
	if all := fmt.Sprint(string(ann.Subjects[0].Identifier), string(ann.Subjects[1].Identifier)); !strings.Contains(all, `"name":"ann"`) || !strings.Contains(all, `"name":"a7"`) {
		t.Errorf("identifiers %s", all)
	}
	if before := find(fmt.Sprintf(`{"subject":%q,"knownAt":"2020-01-01T00:00:00Z"}`, subjects[0])); len(before.Facts) != 0 {
		t.Errorf("facts known long ago: %+v", before.Facts)
	}
	var list struct {
		Items []struct {
			ID       uuid.UUID
			Issue    string
			Subjects []struct{ Identifier json.RawMessage }
		}
	}
	o.ask(keeper, "GET", "/persons/reviews", "", http.StatusOK, &list)
	if len(list.Items) != 1 || list.Items[0].Issue != "disagree" || len(list.Items[0].Subjects) != 3 {
		t.Fatalf("reviews: %+v", list)
	}
	path := "/persons/reviews/" + list.Items[0].ID.String()
	o.ask(keeper, "POST", path, `{"decision":"perhaps"}`, http.StatusUnprocessableEntity, nil)
	o.ask(keeper, "POST", path, `{"decision":"different"}`, http.StatusNoContent, nil)
	o.ask(keeper, "POST", path, `{"decision":"different"}`, http.StatusConflict, nil)
	o.ask(keeper, "POST", "/persons/reviews/"+uuid.NewString(), `{"decision":"same"}`, http.StatusNotFound, nil)
	o.ask(keeper, "POST", "/persons/split", fmt.Sprintf(`{"subjects":[%q]}`, subjects[0]), http.StatusNoContent, nil)
	if now := find(fmt.Sprintf(`{"subject":%q}`, subjects[0])); len(now.Subjects) != 1 || len(now.Links) != 1 || now.Links[0].EndedAt == nil {
		t.Errorf("after a split: %+v", now)
	}
	o.ask(keeper, "POST", "/persons/split", fmt.Sprintf(`{"subjects":[%q]}`, subjects[0]), http.StatusConflict, nil)
	o.ask(keeper, "POST", "/persons/link", fmt.Sprintf(`{"subjects":[%q,%q]}`, subjects[0], subjects[2]), http.StatusNoContent, nil)
	o.ask(keeper, "POST", "/persons/link", fmt.Sprintf(`{"subjects":[%q,%q]}`, subjects[2], subjects[1]), http.StatusConflict, nil)
	o.ask(keeper, "POST", "/persons/link", fmt.Sprintf(`{"subjects":[%q,%q]}`, subjects[0], others[0]), http.StatusNotFound, nil)
	o.ask(keeper, "POST", "/persons/find", fmt.Sprintf(`{"subject":%q}`, others[0]), http.StatusNotFound, nil)
	o.ask(keeper, "POST", "/persons/find", `{}`, http.StatusUnprocessableEntity, nil)
	var p api.Problem
	o.ask(keeper, "POST", "/persons/find", `{"agent":{"mbox":"s3cret"}}`, http.StatusUnprocessableEntity, &p)
	if strings.Contains(p.Detail, "s3cret") {
		t.Errorf("the answer shows what was sent: %s", p.Detail)
	}
	for kind, want := range map[string]int{audit.PersonRead: 4, audit.ReviewRead: 1, audit.PersonDecided: 3} {
		if n := o.events(databasetest.Default, kind); n != want {
			t.Errorf("%d events %s, want %d", n, kind, want)
		}
	}
}

func TestPersonsAreRefused(t *testing.T) {
	o := newOffice(t)
	subjects := o.register(databasetest.Default)
	link := fmt.Sprintf(`{"subjects":[%q,%q]}`, subjects[0], subjects[2])
	for _, scope := range []string{"admin", "all", "statements/read/pseudonymised", "connections/write"} {
		token := o.client(databasetest.Default, strings.ReplaceAll("c "+scope, "/", "-"), scope)
		o.ask(token, "POST", "/persons/find", fmt.Sprintf(`{"subject":%q}`, subjects[0]), http.StatusForbidden, nil)
		o.ask(token, "GET", "/persons/reviews", "", http.StatusForbidden, nil)
		o.ask(token, "POST", "/persons/link", link, http.StatusForbidden, nil)
	}
	reader := o.client(databasetest.Default, "reader", "persons/read")
	o.ask(reader, "GET", "/persons/reviews", "", http.StatusOK, nil)
	o.ask(reader, "POST", "/persons/link", link, http.StatusForbidden, nil)
	o.ask(reader, "PUT", "/connections/hr/links", `{"on":["mailbox"]}`, http.StatusForbidden, nil)
}
