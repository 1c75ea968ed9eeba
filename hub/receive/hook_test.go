package receive

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/lrshub/lrshub/hub/connection"
	"github.com/lrshub/lrshub/hub/database"
)

// signed is the header of a ledger's push.
func signed(secret, body string, at time.Time) map[string]string {
	sent := strconv.FormatInt(at.Unix(), 10)
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write([]byte(sent + "." + body))
	return map[string]string{"X-Sent": sent, "X-Signature": "sha256=" + hex.EncodeToString(mac.Sum(nil))}
}

func (w *world) push(connection, body string) answer {
	w.Helper()
	return w.send(http.MethodPost, "/hooks/"+connection, body, signed("open-sesame", body, time.Now()))
}

const books = `"book":[{"code":"b1","title":"First book"}]`

func entry(n int, who string) string {
	return fmt.Sprintf(`{"n":%d,"who":%q,"book":"b1","unmapped":"zq-unmapped"}`, n, who)
}

func TestHookStoresOnce(t *testing.T) {
	w := newWorld(t)
	c := w.add(other, "ledger", ledgerFile)
	body := `{"id":"d-1","records":{` + books + `,"entry":[` + entry(1, "zq-ann") + `,` + entry(2, "zq-bob") + `]}}`
	got := w.push(c.ID.String(), body)
	if got.status != http.StatusAccepted || got.header.Get("X-Taken") != "d-1" || !strings.HasPrefix(got.body, "taken ") {
		t.Fatalf("first: %+v", got)
	}
	if n := w.statements(other, c); n != 2 {
		t.Errorf("%d statements", n)
	}
	again := w.push(c.ID.String(), body)
	if again.status != got.status || again.body != got.body { // the time in it is the first one's
		t.Errorf("again: %+v, before: %+v", again, got)
	}
	if n := w.events(other, "ingest.push"); n != 2 { // one for each stream
		t.Errorf("%d events of pushes", n)
	}
	// Another delivery with the same content brings nothing new; one that changes and withdraws does.
	if got := w.push(c.ID.String(), strings.Replace(body, "d-1", "d-2", 1)); got.status != http.StatusAccepted || w.statements(other, c) != 2 {
		t.Errorf("same content: %+v", got)
	}
	if got := w.push(c.ID.String(), `{"id":"d-3","records":{"entry":[`+entry(3, "zq-cid")+`]},"withdrawn":[1]}`); got.status != http.StatusAccepted || w.statements(other, c) != 2 {
		t.Errorf("change: %+v, %d statements", got, w.statements(other, c))
	}
	// A record that cannot be mapped is a dead letter, and no reason to refuse the push.
	if got := w.push(c.ID.String(), `{"id":"d-4","records":{"entry":[{"n":4,"who":"zq-dan","book":"b9"},{"n":"x"}]}}`); got.status != http.StatusAccepted {
		t.Errorf("bad records: %+v", got)
	}
	w.do(other, func(ctx context.Context, tx *database.Tx) error {
		letters, err := connection.CountDeadLetters(ctx, tx, c.ID)
		if len(letters) != 2 {
			t.Errorf("dead letters: %+v", letters)
		}
		var clear int
		if err == nil {
			err = tx.GetContext(ctx, &clear, `SELECT count(*) FROM push_delivery WHERE tenant_id = $1 AND position('taken'::bytea in answer) > 0`, tx.Tenant)
		}
		if clear != 0 {
			t.Error("answers stand in clear")
		}
		fresh, e := connection.FreshnessOf(ctx, tx, []uuid.UUID{c.ID})
		if list := fresh[c.ID]; e != nil || len(list) != 2 || list[1].Stream != "entry" || list[1].PushedAt == nil || list[1].ChangedAt == nil {
			t.Errorf("freshness: %+v, %v", fresh, e)
		}
		return err
	})
}

func TestHookRefusals(t *testing.T) {
	w := newWorld(t)
	c := w.add(other, "ledger", ledgerFile)
	home := w.add(first, "home", ledgerFile)
	id, body := c.ID.String(), `{"id":"d-1","records":{`+books+`,"entry":[`+entry(1, "zq-ann")+`]}}`
	now := time.Now()
	for name, r := range map[string]struct {
		method, path, body string
		header             map[string]string
		status             int
		says               string
	}{
		"unknown id":             {"POST", uuid.NewString(), body, signed("open-sesame", body, now), 404, "no such connection"},
		"name of another tenant": {"POST", "ledger", body, signed("open-sesame", body, now), 404, "no such connection"},
		"no signature":           {"POST", id, body, nil, 401, "X-Signature is missing"},
		"another secret":         {"POST", id, body, signed("open-barley", body, now), 401, "not good"},
		"changed body":           {"POST", id, body + " ", signed("open-sesame", body, now), 401, "not good"},
		"old":                    {"POST", id, body, signed("open-sesame", body, now.Add(-6*time.Minute)), 401, "5m0s"},
		"from the future":        {"POST", id, body, signed("open-sesame", body, now.Add(6*time.Minute)), 401, "5m0s"},
		"not JSON":               {"POST", id, "zq-secret", signed("open-sesame", "zq-secret", now), 400, "not a JSON object"},
		"GET":                    {"GET", id, "", nil, 405, "POST"},
		"nothing named":          {"POST", "", body, nil, 405, "POST"},
		"too large":              {"POST", id, strings.Repeat("x", maxBody+1), nil, 413, "8 MiB"},
		"compressed":             {"POST", id, body, map[string]string{"Content-Encoding": "gzip"}, 415, "Content-Encoding"},
		"header too large":       {"POST", id, body, map[string]string{"X-Much": strings.Repeat("x", maxHeader)}, 431, "64 KiB"},
	} {
		got := w.send(r.method, "/hooks/"+r.path, r.body, r.header)
		if got.status != r.status || !strings.Contains(got.body, r.says) || got.header.Get("Content-Type") != "application/problem+json" || strings.Contains(got.body, "zq-") {
			t.Errorf("%s: %+v, want %d and %q", name, got, r.status, r.says)
		}
	}
	if w.statements(other, c) != 0 {
		t.Error("a refused push was stored")
	}
	if n := w.events(other, "push.refused"); n != 9 {
		t.Errorf("%d refusals in the audit log", n)
	}
	if got := w.push("home", body); got.status != http.StatusAccepted || w.statements(first, home) != 1 {
		t.Errorf("by name, in the first tenant: %+v", got)
	}
	act := connection.Act{Actor: "client-1", Now: time.Now()}
	w.do(other, func(ctx context.Context, tx *database.Tx) error {
		_, err := connection.Pause(ctx, tx, act, c.ID)
		return err
	})
	if got := w.push(id, body); got.status != 503 || got.header.Get("Retry-After") != "300" {
		t.Errorf("paused: %+v", got)
	}
	w.do(other, func(ctx context.Context, tx *database.Tx) error { return connection.Remove(ctx, tx, act, c.ID) })
	if got := w.push(id, body); got.status != 404 {
		t.Errorf("removed: %+v", got)
	}
}

// A connector that dies takes one push with it, not the next.
func TestHookOutlivesItsConnector(t *testing.T) {
	w := newWorld(t)
	c := w.add(other, "ledger", ledgerFile)
	if got := w.push(c.ID.String(), `{"id":"d-1","do":"die"}`); got.status != 503 || got.header.Get("Retry-After") == "" {
		t.Errorf("dead: %+v", got)
	}
	if got := w.push(c.ID.String(), `{"id":"d-2","records":{`+books+`,"entry":[`+entry(1, "ann")+`]}}`); got.status != http.StatusAccepted {
		t.Errorf("after it: %+v", got)
	}
}

// The same delivery comes many times at once: one is stored, all get the same answer. Meanwhile a run holds the connection.
func TestHookManyAtOnce(t *testing.T) {
	w := newWorld(t)
	c := w.add(other, "ledger", ledgerFile)
	run := connection.Run{ID: uuid.New(), Connection: c.ID, StartedBy: "schedule", StartedAt: time.Now()}
	w.do(other, func(ctx context.Context, tx *database.Tx) error {
		return connection.Begin(ctx, tx, run, time.Now().Add(time.Hour))
	})
	body := `{"id":"d-1","records":{` + books + `,"entry":[` + entry(1, "ann") + `]}}`
	answers := make([]answer, 12)
	var group sync.WaitGroup
	for i := range answers {
		group.Go(func() { answers[i] = w.push(c.ID.String(), body) })
	}
	group.Wait()
	for _, a := range answers {
		if a.status != http.StatusAccepted || a.body != answers[0].body {
			t.Errorf("%+v, want %+v", a, answers[0])
		}
	}
	if n := w.statements(other, c); n != 1 {
		t.Errorf("%d statements", n)
	}
	w.do(other, func(ctx context.Context, tx *database.Tx) error {
		var taken int
		err := tx.GetContext(ctx, &taken, `SELECT count(*) FROM push_delivery WHERE tenant_id = $1`, tx.Tenant)
		if taken != 1 {
			t.Errorf("%d deliveries", taken)
		}
		return err
	})
	w.do(other, func(ctx context.Context, tx *database.Tx) error {
		return connection.HoldLease(ctx, tx, c.ID, run.ID, time.Now().Add(time.Hour))
	})
}

func TestHookRate(t *testing.T) {
	w := newWorld(t)
	c := w.add(other, "ledger", ledgerFile)
	limited, now := 0, time.Now()
	w.face.Now = func() time.Time { return now } // however slow this machine is
	for range pushBurst + 60 {
		got := w.send(http.MethodPost, "/hooks/"+c.ID.String(), "{}", map[string]string{"Content-Encoding": "gzip"}) // refused at once, and counted
		if got.status == http.StatusTooManyRequests {
			limited++
			if got.header.Get("Retry-After") == "" {
				t.Error("no Retry-After")
			}
		}
	}
	if limited != 60 {
		t.Errorf("%d pushes were too many, want 60", limited)
	}
	if n := w.events(other, "push.refused"); n == 0 || n > 260 {
		t.Errorf("%d refusals in the audit log", n)
	}
}

func TestHookSlowSender(t *testing.T) {
	w := newWorld(t)
	c := w.add(other, "ledger", ledgerFile)
	w.face.patience = 200 * time.Millisecond
	reader, began := &trickle{}, time.Now()
	r, _ := http.NewRequestWithContext(t.Context(), http.MethodPost, w.server.URL+"/hooks/"+c.ID.String(), reader)
	response, err := http.DefaultClient.Do(r)
	if err == nil {
		defer response.Body.Close()
		if response.StatusCode != http.StatusRequestTimeout {
			t.Errorf("status %d", response.StatusCode)
		}
	}
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("a sender that trickles was waited for %s", took)
	}
}

// trickle brings a byte now and then, for ever.
type trickle struct{}

func (trickle) Read(p []byte) (int, error) {
	time.Sleep(50 * time.Millisecond)
	p[0] = ' '
	return 1, nil
}

// A sensor's envelope becomes statements, by the connector and the mapping that come with the hub.
func TestCaliper(t *testing.T) {
	w := newWorld(t)
	document, err := os.ReadFile("../../connectors/caliper/mapping.yaml")
	if err != nil {
		t.Fatal(err)
	}
	c := w.add(other, "lms", "connector: caliper\npurpose: learning-records\nconfig: {secret: zq-caliper-secret-01}\nparams: {home_page: https://lms.example.org}\nmapping: |\n  "+
		strings.ReplaceAll(string(document), "\n", "\n  "))
	envelope := `{"sensor":"https://lms.example.org/sensor","sendTime":"2026-03-02T11:05:01.000Z","dataVersion":"http://purl.imsglobal.org/ctx/caliper/v1p2","data":[
		{"id":"https://lms.example.org/quizzes/4","type":"Assessment","name":"Knots"},
		{"id":"urn:uuid:2","type":"GradeEvent","profile":"GradingProfile","actor":"https://lms.example.org/grader","action":"Graded","eventTime":"2026-03-02T11:05:00.000Z",
		 "object":{"id":"https://lms.example.org/a/1","type":"Attempt","assignee":"https://lms.example.org/users/7","assignable":"https://lms.example.org/quizzes/4"},
		 "generated":{"id":"urn:uuid:3","type":"Score","scoreGiven":12,"maxScore":15}}]}`
	bearer := map[string]string{"Authorization": "Bearer zq-caliper-secret-01", "Content-Type": "application/json"}
	for range 2 {
		if got := w.send(http.MethodPost, "/hooks/"+c.ID.String(), envelope, bearer); got.status != http.StatusOK || w.statements(other, c) != 1 {
			t.Errorf("%+v, %d statements", got, w.statements(other, c))
		}
	}
	if got := w.send(http.MethodPost, "/hooks/"+c.ID.String(), `{"sensor":"s"}`, bearer); got.status != 400 || !strings.Contains(got.body, "no sendTime") {
		t.Errorf("no envelope: %+v", got)
	}
}
