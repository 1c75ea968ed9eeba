package caliper

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/lrshub/lrshub/plugins/contract"
	"github.com/lrshub/lrshub/plugins/host"
	"github.com/lrshub/lrshub/plugins/kit"
	"github.com/lrshub/lrshub/plugins/sdk"
)

const secret = "zq-caliper-secret-0001"

func TestMain(m *testing.M) {
	kit.Main(m, map[string]func() sdk.Connector{"caliper": New})
}

// envelope is a good one with these items.
func envelope(items ...string) string {
	return `{"sensor":"https://lms.example.org/sensor","sendTime":"2026-03-02T11:05:01.000Z","dataVersion":"http://purl.imsglobal.org/ctx/caliper/v1p1","data":[` +
		strings.Join(items, ",") + `]}`
}

const (
	quiz  = `{"@context":"http://purl.imsglobal.org/ctx/caliper/v1p2","id":"https://lms.example.org/quizzes/4","type":"Assessment","name":"Knots","extensions":{"x":"zq-vendor"}}`
	user  = `{"id":"https://lms.example.org/users/7","type":"Person","name":"zq-name"}`
	event = `{"@context":"http://purl.imsglobal.org/ctx/caliper/v1p1","id":"urn:uuid:1","type":"AssessmentEvent","actor":"https://lms.example.org/users/7",
		"action":"http://purl.imsglobal.org/vocab/caliper/v1/action#Started","object":{"id":"https://lms.example.org/quizzes/4","type":"Assessment","maxScore":15.50,
		"extensions":{"x":"zq-vendor"}},"eventTime":"2026-03-02T11:05:00.000Z","extensions":{"x":"zq-vendor"},"session":{"id":"urn:s","client":{"ipAddress":"zq-address"}}}`
	grade = `{"id":"urn:uuid:2","type":"GradeEvent","actor":{"id":"https://lms.example.org/users/1","type":"Person"},"action":"Graded",
		"object":{"id":"https://lms.example.org/a/1","type":"Attempt","assignee":"https://lms.example.org/users/7","assignable":"https://lms.example.org/quizzes/4"},
		"generated":{"id":"urn:uuid:3","type":"Score","scoreGiven":12,"maxScore":15},"eventTime":"2026-03-02T11:05:00.000Z"}`
)

// receive pushes a body to the connector, run as the hub does, for both streams.
func receive(t *testing.T, config, body string, header http.Header) (records map[string][]host.Record, bad []host.Bad, err error) {
	t.Helper()
	h := host.New(host.Options{AllowNoNamespace: true})
	t.Cleanup(func() { h.Close() })
	p, err := h.Start(t.Context(), host.Plugin{Connector: "caliper"}, host.Session{Config: []byte(config), Secrets: func(_ context.Context, name string) (string, error) {
		if name == "secret" {
			return secret, nil
		}
		return "", fmt.Errorf("no secret %q", name)
	}})
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	d, err := p.Describe(t.Context(), []byte(config))
	if err != nil {
		t.Fatal(err)
	}
	records = map[string][]host.Record{}
	for _, stream := range d.Streams {
		push := sdk.Push{Stream: stream.Name, Method: http.MethodPost, Header: header, Body: []byte(body), Received: time.Now()}
		_, err := p.Receive(t.Context(), stream, nil, push, func(_ context.Context, page host.Page) error {
			records[stream.Name], bad = append(records[stream.Name], page.Records...), append(bad, page.Bad...)
			return nil
		})
		if err != nil {
			return records, bad, err
		}
	}
	return records, bad, nil
}

var bearer = http.Header{"Authorization": {"Bearer " + secret}}

func TestReceive(t *testing.T) {
	records, bad, err := receive(t, `{}`, envelope(quiz, user, event, grade, `7`, `{"id":"urn:uuid:4","type":"NavigationEvent","action":"NavigatedTo"}`, `{"id":"x"}`), bearer)
	if err != nil {
		t.Fatal(err)
	}
	if len(records["entity"]) != 1 || len(records["event"]) != 2 || len(bad) != 3 {
		t.Fatalf("%d entities, %d events, %d bad: %+v", len(records["entity"]), len(records["event"]), len(bad), bad)
	}
	var all strings.Builder
	for _, list := range records {
		for _, r := range list {
			all.Write(r.JSON)
		}
	}
	for _, never := range []string{"zq-vendor", "zq-name", "zq-address", "@context", "#Started"} {
		if strings.Contains(all.String(), never) {
			t.Errorf("%s was brought: %s", never, all.String())
		}
	}
	first := records["event"][0]
	if first.Subject != "https://lms.example.org/users/7" || !strings.Contains(string(first.JSON), `"actor":{"id":"https://lms.example.org/users/7"}`) ||
		!strings.Contains(string(first.JSON), `"maxScore":15.50`) || string(first.Key) != `["urn:uuid:1"]` {
		t.Errorf("event: %s %s %s", first.Key, first.Subject, first.JSON)
	}
	if records["event"][1].Subject != "https://lms.example.org/users/7" {
		t.Errorf("a grade is about %s", records["event"][1].Subject)
	}
	for i, says := range []string{"not a JSON object", "has no actor", "has no type"} {
		if !strings.Contains(bad[i].Reason, says) || bad[i].Position != fmt.Sprintf("data[%d]", 4+i) {
			t.Errorf("bad item %d: %+v", i, bad[i])
		}
	}
}

func TestEnvelopesThatAreNone(t *testing.T) {
	good := map[string]any{"sensor": "s", "sendTime": "2026-03-02T11:05:01.000Z", "dataVersion": "http://purl.imsglobal.org/ctx/caliper/v1p2", "data": []any{map[string]any{"id": "x", "type": "Page"}}}
	with := func(name string, value any) string {
		changed := map[string]any{}
		for n, v := range good {
			changed[n] = v
		}
		if changed[name] = value; value == nil {
			delete(changed, name)
		}
		text, _ := json.Marshal(changed)
		return string(text)
	}
	for name, test := range map[string]struct{ body, says string }{
		"empty":             {"", "no envelope"},
		"a list":            {"[]", "no envelope"},
		"null":              {"null", "no envelope"},
		"no sensor":         {with("sensor", nil), "no sensor"},
		"sensor a number":   {with("sensor", 7), "sensor is not a text"},
		"no time":           {with("sendTime", nil), "no sendTime"},
		"time of day":       {with("sendTime", "11:05"), "sendTime must be"},
		"no version":        {with("dataVersion", nil), "no dataVersion"},
		"Caliper 1.0":       {with("dataVersion", "http://purl.imsglobal.org/ctx/caliper/v1"), "dataVersion must be"},
		"no data":           {with("data", nil), "no data"},
		"data an object":    {with("data", map[string]any{}), "data is not a list"},
		"nothing in it":     {with("data", []any{}), "data is empty"},
		"sensor in a list ": {with("sensor", []any{"s"}), "sensor is not a text"},
	} {
		_, err := open([]byte(test.body))
		var told *sdk.Error
		if !errors.As(err, &told) || told.Class != sdk.ClassData || !strings.Contains(told.Message, test.says) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if items, err := open([]byte(with("dataVersion", "http://purl.imsglobal.org/ctx/caliper/v1p1"))); err != nil || len(items) != 1 {
		t.Errorf("a good one: %v", err)
	}
}

func TestSignatures(t *testing.T) {
	body := envelope(event)
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write([]byte(body))
	good := hex.EncodeToString(mac.Sum(nil))
	for name, test := range map[string]struct {
		config string
		header http.Header
		class  contract.Class
	}{
		"bearer":          {`{}`, bearer, ""},
		"wrong token":     {`{}`, http.Header{"Authorization": {"Bearer " + secret + "x"}}, contract.ClassAuth},
		"none":            {`{}`, nil, contract.ClassAuth},
		"hmac":            {`{"auth":"hmac"}`, http.Header{"X-Caliper-Signature": {good}}, ""},
		"hmac, prefix":    {`{"auth":"hmac","header":"X-Sig","prefix":"sha256="}`, http.Header{"X-Sig": {"sha256=" + good}}, ""},
		"hmac by a token": {`{"auth":"hmac"}`, bearer, contract.ClassAuth},
	} {
		_, _, err := receive(t, test.config, body, test.header)
		var told *contract.Error
		switch errors.As(err, &told); {
		case test.class == "" && err != nil, test.class != "" && (told == nil || told.Class != test.class):
			t.Errorf("%s: %v", name, err)
		case err != nil && strings.Contains(err.Error(), secret):
			t.Errorf("%s: the error has the secret in it", name)
		}
	}
}

func TestDescribe(t *testing.T) {
	d, err := New().Describe(nil)
	if err != nil || d.Validate() != nil || !d.Has(contract.AbilityReceive) {
		t.Errorf("%+v, %v", d, err)
	}
	if _, err := New().Describe([]byte(`{"auth":"magic"}`)); err == nil {
		t.Error("auth: magic")
	}
	if err := New().Read(t.Context(), nil, sdk.Request{}, nil); err == nil {
		t.Error("reading")
	}
}

// Whatever arrives, the connector neither panics nor takes what is no item for one.
func FuzzPlain(f *testing.F) {
	for _, seed := range []string{quiz, user, event, grade, `{"type":"E","a":[[{"b":{}}]]}`, `{"type":7}`} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, item []byte) {
		record, kind, reason := plain(item)
		if (kind != "") != (record != nil && reason == "" && kind != "") || reason != "" && kind != "" {
			t.Errorf("kind %q, reason %q", kind, reason)
		}
		if kind != "" && !json.Valid(record) {
			t.Errorf("no JSON: %s", record)
		}
	})
}
