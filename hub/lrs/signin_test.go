package lrs

import (
	"context"
	"encoding/json"
	"slices"
	"testing"
	"time"

	"github.com/lrshub/lrshub/hub/auth"
	"github.com/lrshub/lrshub/hub/auth/authtest"
	"github.com/lrshub/lrshub/hub/database"
	"github.com/lrshub/lrshub/hub/database/databasetest"
	"github.com/lrshub/lrshub/hub/people"
)

// TestAuthorityIsTheClient: whichever key, token or JWT a client sends, what it stores has one authority, and statements/read/mine shows it just that.
func TestAuthorityIsTheClient(t *testing.T) {
	w, provider := newWorld(t), authtest.New(t)
	issuer, err := auth.NewIssuer(provider.URL, authtest.Audience, time.Now)
	if err != nil {
		t.Fatal(err)
	}
	w.clients, err = auth.New(make([]byte, auth.PepperSize), auth.Options{Issuer: issuer, TokenSecret: make([]byte, 32), PublicURL: "https://hub.example"})
	if err != nil {
		t.Fatal(err)
	}
	create := func(n auth.NewClient) (made auth.Credential) {
		n.Scopes, n.Purpose = []string{"statements/write", "statements/read/mine"}, people.DefaultPurpose
		err := w.db.Tenant(t.Context(), databasetest.Default, func(ctx context.Context, tx *database.Tx) (err error) {
			made, err = w.clients.Create(ctx, tx, "test", n)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		return made
	}
	first := create(auth.NewClient{Name: "canvas"})
	var second auth.Credential
	if err := w.db.Tenant(t.Context(), databasetest.Default, func(ctx context.Context, tx *database.Tx) (err error) {
		second, err = w.clients.Rotate(ctx, tx, "test", "canvas", time.Hour)
		return err
	}); err != nil {
		t.Fatal(err)
	}
	token := func(scope string) string {
		got, err := w.clients.Grant(t.Context(), w.db, auth.Presented{Key: second.Key, Secret: second.Secret}, scope)
		if err != nil {
			t.Fatal(err)
		}
		return "Bearer " + string(got.Secret)
	}
	machine := create(auth.NewClient{Name: "analytics", JWTSubject: authtest.Client})
	jwt := "Bearer " + provider.Issue(t, nil)
	ways := map[string][]string{ // by client: what it may send
		first.Client.String():   {"Bearer " + first.Token(), "Bearer " + second.Token(), token("")},
		machine.Client.String(): {jwt, "Bearer " + provider.Issue(t, map[string]any{"scope": "xapi:statements/write xapi:statements/read/mine"})},
	}
	anyone := caller{world: w, version: "2.0.0"}
	stored := map[string][]string{}
	for client, sends := range ways {
		for _, send := range sends {
			a := anyone.do("POST", "/xapi/statements", said("ada", "passed", "algebra", ""), "Authorization", send)
			var ids []string
			if err := json.Unmarshal([]byte(a.body), &ids); err != nil || a.status != 200 {
				t.Fatalf("%d %s", a.status, a.body)
			}
			stored[client] = append(stored[client], ids...)
		}
	}
	databasetest.Settle(t, w.db)
	for client, sends := range ways {
		slices.Sort(stored[client])
		for _, send := range sends {
			a := anyone.do("GET", "/xapi/statements", "", "Authorization", send)
			var page struct {
				Statements []struct {
					ID        string
					Authority struct {
						Account struct{ Name, HomePage string }
					}
				}
			}
			if err := json.Unmarshal([]byte(a.body), &page); err != nil || a.status != 200 {
				t.Fatalf("%d %s", a.status, a.body)
			}
			var seen []string
			for _, st := range page.Statements {
				seen = append(seen, st.ID)
				if st.Authority.Account.Name != "client/"+client || st.Authority.Account.HomePage != "https://hub.example" {
					t.Errorf("authority %+v", st.Authority)
				}
			}
			if slices.Sort(seen); !slices.Equal(seen, stored[client]) {
				t.Errorf("it sees %v of %v", seen, stored)
			}
		}
	}

	// A token with fewer scopes may do less; one of an issuer that is gone may do nothing now, and says so.
	if a := anyone.do("GET", "/xapi/statements", "", "Authorization", token("statements/write")); a.status != 403 {
		t.Errorf("a token to write that reads: %d %s", a.status, a.body)
	}
	if a := anyone.do("GET", "/xapi/statements", "", "Authorization", "Bearer "+provider.Issue(t, map[string]any{"scope": "statements/read"})); a.status != 403 {
		t.Errorf("a JWT for what its client does not hold: %d %s", a.status, a.body)
	}
	if a := anyone.do("GET", "/xapi/statements", "", "Authorization", jwt[:len(jwt)-8]); a.status != 401 || len(a.header.Values("WWW-Authenticate")) != 2 {
		t.Errorf("a JWT that was changed: %d %v", a.status, a.header)
	}
	if w.clients, err = auth.New(make([]byte, auth.PepperSize), auth.Options{Issuer: gone(t)}); err != nil {
		t.Fatal(err)
	}
	if a := anyone.do("GET", "/xapi/statements", "", "Authorization", jwt); a.status != 503 || a.header.Get("Retry-After") == "" {
		t.Errorf("the issuer is gone: %d %s", a.status, a.body)
	}
	if a := anyone.do("GET", "/xapi/statements", "", "Authorization", "Bearer "+first.Token()); a.status != 200 {
		t.Errorf("another client meanwhile: %d %s", a.status, a.body)
	}
}

// gone is an issuer at an address where nobody answers.
func gone(t *testing.T) *auth.Issuer {
	t.Helper()
	issuer, err := auth.NewIssuer("http://127.0.0.1:1", authtest.Audience, time.Now)
	if err != nil {
		t.Fatal(err)
	}
	return issuer
}
