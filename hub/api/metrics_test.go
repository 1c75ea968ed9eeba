package api_test

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/lrshub/lrshub/hub/connection"
	"github.com/lrshub/lrshub/hub/database"
	"github.com/lrshub/lrshub/hub/database/databasetest"
	"github.com/lrshub/lrshub/hub/people"
	"github.com/lrshub/lrshub/plugins/contract"
)

func TestMetrics(t *testing.T) {
	o := newOffice(t)
	token := o.client(databasetest.Other, "prometheus", "connections/read")
	stranger := o.client(databasetest.Default, "prometheus", "connections/read")
	reader := o.client(databasetest.Other, "reader", "statements/read")
	tick := contract.Stream{Name: "tick", Key: []string{"id"}, Mode: contract.Incremental, Fields: []contract.Field{{Name: "id", Type: contract.String}}}
	checked, err := connection.Check(connection.Spec{Connector: "clock", Purpose: people.DefaultPurpose, Config: json.RawMessage(`{}`), LateAfter: "1h",
		Mapping: "name: clock\nversion: 1\nstreams:\n  tick: {about: Nothing is made of it.}\n"}, contract.Description{Name: "clock", Version: "1", Streams: []contract.Stream{tick}})
	if err != nil {
		t.Fatal(err)
	}
	at := time.Unix(1_700_000_000, 0)
	var c connection.Connection
	err = o.db.Tenant(t.Context(), databasetest.Other, func(ctx context.Context, tx *database.Tx) error {
		of, err := o.vault.Tenant(tx.Tenant)
		if err != nil {
			return err
		}
		if c, err = connection.Add(ctx, tx, of, connection.Act{Actor: "client-1", Now: at}, "clock", checked); err != nil {
			return err
		}
		if err := connection.NotePush(ctx, tx, c.ID, uuid.New(), "tick", 1, false, at); err != nil {
			return err
		}
		_, err = connection.MarkLate(ctx, tx, time.Now())
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	scrape := func(token string) (int, string) {
		r := httptest.NewRequest(http.MethodGet, "/metrics", nil)
		if token != "" {
			r.Header.Set("Authorization", "Bearer "+token)
		}
		w := httptest.NewRecorder()
		o.metrics.ServeHTTP(w, r)
		return w.Code, w.Body.String()
	}
	status, text := scrape(token)
	for _, line := range []string{
		`lrshub_stream_pushed_timestamp_seconds{connection="clock",connector="clock",stream="tick"} 1.7e+09`,
		`lrshub_stream_late{connection="clock",connector="clock",stream="tick"} 1`, `lrshub_connection_paused{connection="clock",connector="clock"} 0`,
	} {
		if status != http.StatusOK || !strings.Contains(text, line) {
			t.Errorf("%d, no %s in:\n%s", status, line, text)
		}
	}
	if status, text := scrape(stranger); status != http.StatusOK || strings.Contains(text, "clock") {
		t.Errorf("another tenant: %d %s", status, text)
	}
	if status, _ := scrape(reader); status != http.StatusForbidden {
		t.Errorf("without the scope: %d", status)
	}
	if status, _ := scrape(""); status != http.StatusUnauthorized {
		t.Errorf("without a credential: %d", status)
	}
	var list struct {
		Items []struct {
			Hook    string
			Streams []connection.Freshness
		}
	}
	o.ask(token, http.MethodGet, "/connections", "", http.StatusOK, &list)
	if len(list.Items) != 1 || list.Items[0].Hook != "/hooks/"+c.ID.String() || len(list.Items[0].Streams) != 1 || list.Items[0].Streams[0].LateSince == nil || !list.Items[0].Streams[0].PushedAt.Equal(at) {
		t.Errorf("list: %+v", list)
	}
}
