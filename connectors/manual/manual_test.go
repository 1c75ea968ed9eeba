package manual

import (
	"context"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/lrshub/lrshub/plugins/contract"
	"github.com/lrshub/lrshub/plugins/kit"
	"github.com/lrshub/lrshub/plugins/sdk"
	"github.com/lrshub/lrshub/plugins/sdk/sdktest"
)

func TestMain(m *testing.M) { kit.Main(m, map[string]func() sdk.Connector{"manual": New}) }

var now = time.Date(2031, 6, 1, 12, 0, 0, 0, time.UTC)

// enter gives what a body becomes: records, keys of deleted ones, "position: reason" of bad ones.
func enter(t *testing.T, kind, body string) (records, deleted, bad []string, err error) {
	t.Helper()
	push := sdk.Push{Stream: "record", Method: contract.MethodEnter, Header: http.Header{"Content-Type": {kind}}, Body: []byte(body), Received: now}
	_, err = Connector{}.Receive(t.Context(), sdktest.Session("{}", nil, nil), push, sdk.NewOutput(sdk.Request{}, func(e sdk.Event) error {
		switch e.Kind {
		case sdk.EventRecord:
			records = append(records, string(e.JSON))
		case sdk.EventDelete:
			deleted = append(deleted, string(e.JSON))
		case sdk.EventBad:
			bad = append(bad, e.Position+": "+e.Reason)
		}
		return nil
	}))
	return records, deleted, bad, err
}

const sheet = "\ufeffkind;learner;activity;date;outcome;minutes;vouched_by;id;deleted\r\n" +
	"training;ada@brook.example;https://example.org/t/1;2031-05-06;passed;90;bo@brook.example;;\r\n" +
	"attendance; p-17 ;https://example.org/t/2;2031-05-06T09:00:00+02:00;;;bo@brook.example;a-2;\r\n" +
	";;;;;;;a-1;TRUE\r\n"

func TestSheet(t *testing.T) {
	records, deleted, bad, err := enter(t, "text/csv", sheet)
	if err != nil || len(bad) > 0 || len(records) != 2 || len(deleted) != 1 || deleted[0] != `["a-1"]` {
		t.Fatalf("%v, %q, %q, %q", err, records, deleted, bad)
	}
	want := `{"id":"made-`
	if !strings.HasPrefix(records[0], want) || !strings.Contains(records[0], `"date":"2031-05-06T12:00:00Z","minutes":90,"outcome":"passed"`) {
		t.Errorf("%s", records[0])
	}
	if want := `{"id":"a-2","kind":"attendance","learner":"p-17","activity":"https://example.org/t/2","date":"2031-05-06T07:00:00Z","vouched_by":"bo@brook.example"}`; records[1] != want {
		t.Errorf("%s, want %s", records[1], want)
	}
	again, _, _, _ := enter(t, "text/csv", strings.ReplaceAll(sheet, ";", ","))
	if len(again) != 2 || again[0] != records[0] {
		t.Errorf("with commas: %q", again)
	}
}

// TestWrong: what is wrong with a record is told by its place and fields, without a value; with the whole, as an error.
func TestWrong(t *testing.T) {
	const good = `"kind":"training","learner":"zq-someone","activity":"https://example.org/t","date":"2031-05-06","vouched_by":"zq-other"`
	for body, want := range map[string]string{
		`{"kind":"training"}`:                                              "activity is missing; date is missing; learner is missing; vouched_by is missing",
		`{` + good + `,"colour":1}`:                                        "it has a field that records do not have",
		`{` + good + `,"score":"much"}`:                                    "score must be a number",
		`{` + good + `,"outcome":"zq-splendid"}`:                           "outcome must be passed or failed, or empty",
		`{` + good + `,"score":5,"score_max":4}`:                           "score must be from 0 to score_max",
		`{` + good + `,"score_max":4}`:                                     "score_max goes with a score",
		`{` + good + `,"minutes":-1}`:                                      "minutes must be from 0 to a year",
		strings.Replace(`{`+good+`}`, "2031-05-06", "2032-01-01", 1):       "date lies in the future",
		strings.Replace(`{`+good+`}`, "2031-05-06", "6 May", 1):            "date must be like",
		strings.Replace(`{`+good+`}`, "https://example.org/t", "forks", 1): "activity must be an IRI",
		strings.Replace(`{`+good+`}`, "zq-other", "ZQ-someone", 1):         "vouched_by must be somebody else",
		strings.Replace(`{`+good+`}`, "training", "zq-feast", 1):           "kind must be training, attendance or assessment",
		strings.Replace(`{`+good+`}`, "training", "assessment", 1):         "an assessment needs an outcome or a score",
		`{"deleted":true}`:                                                 "id is missing",
		`{` + good + `,"note":"` + strings.Repeat("é", maxNote+1) + `"}`:   "note has more than 4000 characters",
		`[1]`: "it is not a JSON object",
	} {
		_, _, bad, err := enter(t, "application/json", `{"records":[`+body+`]}`)
		if err != nil || len(bad) != 1 || !strings.HasPrefix(bad[0], "record 1: ") || !strings.Contains(bad[0], want) || strings.Contains(bad[0], "zq-") {
			t.Errorf("%s: %q, %v, want %q", body, bad, err, want)
		}
	}
	_, _, bad, err := enter(t, "application/json", `{"records":[{`+good+`},{`+good+`}]}`)
	if err != nil || len(bad) != 1 || !strings.Contains(bad[0], "the same record as record 1") {
		t.Errorf("twice: %q, %v", bad, err)
	}
	for kind, bodies := range map[string][]string{
		"text/csv":         {"", "kind,colour\n", "kind,kind\n", "kind,learner\ntraining,\"zq-open\n"},
		"application/json": {"", "[]", `{"records":1}`, `{"entries":[]}`},
	} {
		for _, body := range bodies {
			_, _, _, err := enter(t, kind, body)
			var told *sdk.Error
			if !asError(err, &told) || told.Class != sdk.ClassData || strings.Contains(told.Message, "zq-") {
				t.Errorf("%q: %v", body, err)
			}
		}
	}
	_, _, bad, err = enter(t, "text/csv", "id,score\nx\ny,zq-much\n")
	if err != nil || len(bad) != 2 || bad[0] != "line 2: it has 1 cells, the header 2" || !strings.HasPrefix(bad[1], "line 3: score must be a number") {
		t.Errorf("%q, %v", bad, err)
	}
}

func asError(err error, into **sdk.Error) bool {
	e, ok := err.(*sdk.Error)
	*into = e
	return ok
}

// TestOnlyThroughTheHub: whoever posts to the connection's hook has not signed in.
func TestOnlyThroughTheHub(t *testing.T) {
	for _, method := range []string{http.MethodPost, http.MethodPut, ""} {
		_, err := Connector{}.Receive(context.Background(), nil, sdk.Push{Method: method, Body: []byte(`{"records":[]}`)}, nil)
		if e, ok := err.(*sdk.Error); !ok || e.Class != sdk.ClassAuth {
			t.Errorf("%q: %v", method, err)
		}
	}
}

// TestConformance runs what the kit has of every connector. Of its stream there is nothing to read.
func TestConformance(t *testing.T) {
	kit.Run(t, kit.Subject{Name: "manual", New: New, Config: `{}`, Streams: []string{}, Refused: map[string]string{"misspelt": `{"home":"x"}`}})
}

func FuzzReceive(f *testing.F) {
	f.Add(true, sheet)
	f.Add(false, `{"records":[{"id":"1","deleted":true}]}`)
	for _, name := range []string{"training", "attendance"} {
		if text, err := os.ReadFile("fixtures/" + name + "/input.json"); err == nil {
			f.Add(false, `{"records":[`+string(text)+`]}`)
		}
	}
	f.Fuzz(func(t *testing.T, csv bool, body string) {
		kind := "application/json"
		if csv {
			kind = "text/csv"
		}
		first, _, _, err := enter(t, kind, body)
		second, _, _, _ := enter(t, kind, body)
		if err == nil && strings.Join(first, "\n") != strings.Join(second, "\n") {
			t.Errorf("the same body gives %q, then %q", first, second)
		}
	})
}
