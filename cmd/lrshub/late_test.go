package main

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/lrshub/lrshub/hub/connection"
	"github.com/lrshub/lrshub/hub/database"
	"github.com/lrshub/lrshub/hub/database/databasetest"
	"github.com/lrshub/lrshub/hub/people"
	"github.com/lrshub/lrshub/hub/vault"
	"github.com/lrshub/lrshub/plugins/contract"
)

// chat is an address that alerts are posted to.
type chat struct {
	mu     sync.Mutex
	broken bool
	got    []alerted
}

func (c *chat) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.broken {
		w.WriteHeader(http.StatusBadGateway)
		return
	}
	var a alerted
	if err := json.NewDecoder(r.Body).Decode(&a); err == nil {
		c.got = append(c.got, a)
	}
}

const lateMapping = `name: clock
version: 1
streams:
  tick:
    subject: {account: {homePage: "https://clock.example", name: "${record.id}"}}
    statements:
      - name: ticked
        statement: {verb: {id: "http://adlnet.gov/expapi/verbs/experienced"}, object: {id: "https://clock.example/tick"}}
`

// A stream that was not read for longer than its connection says is told of once; until somebody could be told it is tried again, and a run or a push ends it.
func TestTellLate(t *testing.T) {
	master, err := vault.MasterKey(make([]byte, 32))
	if err != nil {
		t.Fatal(err)
	}
	keys, err := vault.OpenKeys(t.TempDir(), master)
	if err != nil {
		t.Fatal(err)
	}
	r := &rooms{db: databasetest.New(t), vault: vault.New(keys)}
	do := func(fn func(context.Context, *database.Tx) error) {
		t.Helper()
		if err := r.db.Tenant(t.Context(), databasetest.Other, fn); err != nil {
			t.Fatal(err)
		}
	}
	for _, id := range []database.TenantID{databasetest.Default, databasetest.Other} {
		if _, err := keys.Ensure(id); err != nil {
			t.Fatal(err)
		}
	}
	heard := &chat{broken: true}
	server := httptest.NewServer(heard)
	defer server.Close()
	tick := contract.Stream{Name: "tick", Key: []string{"id"}, Subject: "id", Mode: contract.Incremental, Fields: []contract.Field{{Name: "id", Type: contract.String}}}
	checked, err := connection.Check(connection.Spec{
		Connector: "clock", Purpose: people.DefaultPurpose, Config: json.RawMessage(`{}`), Mapping: lateMapping, LateAfter: "1h", Alert: server.URL + "/zq-hook-token",
	}, contract.Description{Name: "clock", Version: "1.0.0", Streams: []contract.Stream{tick}})
	if err != nil {
		t.Fatal(err)
	}
	var c connection.Connection
	do(func(ctx context.Context, tx *database.Tx) error {
		if err := people.SeedDefault(ctx, tx, time.Now()); err != nil {
			return err
		}
		of, err := r.vault.Tenant(tx.Tenant)
		if err != nil {
			return err
		}
		c, err = connection.Add(ctx, tx, of, connection.Act{Actor: "client-1", Now: time.Now().Add(-2 * time.Hour)}, "clock", checked)
		return err
	})
	tell := func(what string, want int) {
		t.Helper()
		if err := r.tellLate(t.Context()); err != nil {
			t.Fatal(err)
		}
		heard.mu.Lock()
		defer heard.mu.Unlock()
		if len(heard.got) != want {
			t.Errorf("%s: %d alerts, want %d", what, len(heard.got), want)
		}
	}
	late := func() (since *time.Time) {
		do(func(ctx context.Context, tx *database.Tx) error {
			fresh, err := connection.FreshnessOf(ctx, tx, []uuid.UUID{c.ID})
			if len(fresh[c.ID]) == 1 {
				since = fresh[c.ID][0].LateSince
			}
			return err
		})
		return since
	}
	tell("nobody hears it", 0)
	if late() == nil {
		t.Error("the list does not say that it is late")
	}
	heard.broken = false
	tell("heard", 1)
	tell("not again", 1)
	if a := heard.got[0]; a.Alert != "stream.late" || a.Connection != "clock" || a.Stream != "tick" || time.Since(a.LateSince).Round(time.Hour) != time.Hour {
		t.Errorf("%+v", a)
	}
	do(func(ctx context.Context, tx *database.Tx) error {
		return connection.NotePush(ctx, tx, c.ID, uuid.New(), "tick", 1, true, time.Now())
	})
	if late() != nil {
		t.Error("late after a push")
	}
	tell("fresh", 1)
	do(func(ctx context.Context, tx *database.Tx) error {
		_, err := tx.ExecContext(ctx, `UPDATE connection_freshness SET pushed_at = now() - interval '3 hours' WHERE tenant_id = $1`, tx.Tenant)
		return err
	})
	tell("late once more", 2)
	do(func(ctx context.Context, tx *database.Tx) error {
		return connection.CompleteStream(ctx, tx, c.ID, uuid.New(), "tick", time.Now())
	})
	if late() != nil {
		t.Error("late after it was read")
	}
	do(func(ctx context.Context, tx *database.Tx) error {
		if _, err := connection.Pause(ctx, tx, connection.Act{Actor: "client-1", Now: time.Now()}, c.ID); err != nil {
			return err
		}
		_, err := tx.ExecContext(ctx, `UPDATE connection_freshness SET pushed_at = NULL, read_at = now() - interval '3 hours' WHERE tenant_id = $1`, tx.Tenant)
		return err
	})
	tell("paused", 2)
}

func TestAlertAddresses(t *testing.T) {
	redirected := httptest.NewServer(http.RedirectHandler("http://127.0.0.1:1/", http.StatusTemporaryRedirect))
	defer redirected.Close()
	for _, address := range []string{"http://169.254.169.254/latest/zq-token", "http://[fe80::1]/zq-token", "http://127.0.0.1:1/zq-token", redirected.URL + "/zq-token", "::"} {
		if err := post(t.Context(), address, alerted{}); err == nil || len(err.Error()) > 60 {
			t.Errorf("%s: %v", address, err)
		}
	}
}
