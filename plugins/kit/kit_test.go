package kit

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"

	"github.com/lrshub/lrshub/plugins/contract"
	"github.com/lrshub/lrshub/plugins/kit/suite"
	"github.com/lrshub/lrshub/plugins/sdk"
)

// The kit is tested on connectors with one defect each: the check that is named must complain, and a connector without
// defects must pass them all.

var defects = []string{
	"", "impure", "schema", "accepts", "unreachable", "empty", "never complete", "no last checkpoint", "large pages",
	"loses on resume", "repeats at the end", "swallows errors", "logs the secret", "secret in cursor", "wrong type", "same key", "subject in position",
}

func TestMain(m *testing.M) {
	connectors := make(map[string]func() sdk.Connector)
	for _, defect := range defects {
		connectors[name(defect)] = func() sdk.Connector { return &list{defect: defect} }
	}
	maps.Copy(connectors, extra)
	Main(m, connectors)
}

// extra are the connectors of other files.
var extra = make(map[string]func() sdk.Connector)

func name(defect string) string { return strings.ReplaceAll("list"+defect, " ", "-") }

// list brings n numbers over HTTP, one request each, unless it has a defect.
type list struct{ defect string }

type listConfig struct {
	Source string
	N      int
}

func (l *list) config(text []byte) (c listConfig, err error) {
	if err := json.Unmarshal(text, &c); err != nil {
		return c, sdk.Errorf(sdk.ClassConfig, "the configuration: %w", err)
	}
	if c.N <= 0 && l.defect != "accepts" {
		return c, sdk.Errorf(sdk.ClassConfig, "n must be positive")
	}
	return c, nil
}

var instances int

func (l *list) Describe(config []byte) (sdk.Description, error) {
	instances++
	d := sdk.Description{
		Name: name(l.defect), Version: "1.0.0", Summary: "numbers", Rate: 10_000,
		ConfigSchema: `{"type":"object","properties":{"n":{"type":"integer"},"source":{"type":"string"},"token":{"type":"string","x-secret":true}}}`,
	}
	if l.defect == "schema" {
		d.ConfigSchema = `{"type":"object","properties":{"n":{"type":"integer","x-secret":true}}}`
	}
	if l.defect == "impure" {
		d.Summary = strconv.Itoa(instances)
	}
	if config == nil {
		return d, nil
	}
	c, err := l.config(config)
	if err != nil {
		return d, err
	}
	d.Hosts, d.Auth, d.Secrets = []string{c.Source}, []sdk.Auth{{Kind: "bearer", Secret: "token"}}, []string{"token"}
	d.Streams = []contract.Stream{{
		Name: "numbers", Key: []string{"n"}, Subject: "who", Deletes: contract.DeletesAbsence, Mode: contract.Snapshot,
		Fields: []contract.Field{{Name: "n", Type: contract.Int}, {Name: "who", Type: contract.String}},
	}}
	d.Streams[0].Compares = l.defect == "completes unchanged"
	return d, nil
}

func (l *list) Check(_ context.Context, s *sdk.Session) error {
	if _, err := l.config(s.Config); err != nil {
		return err
	}
	if l.defect == "unreachable" {
		return errors.New("no answer")
	}
	return nil
}

func (l *list) Read(ctx context.Context, s *sdk.Session, r sdk.Request, out *sdk.Output) error {
	c, err := l.config(s.Config)
	if err != nil {
		return err
	}
	from, _ := strconv.Atoi(string(r.Cursor))
	switch {
	case l.defect == "empty":
		return out.Checkpoint(nil)
	case from >= c.N && l.defect == "completes unchanged":
	case from >= c.N && l.defect != "repeats at the end":
		from = 0
	case from >= c.N:
		from = c.N - 1
	case l.defect == "loses on resume" && from > 0:
		from++
	}
	for n := from; n < c.N; n++ {
		if err := l.one(ctx, s, c, n, out); err != nil {
			if l.defect == "swallows errors" {
				return nil
			}
			return err
		}
		if out.Due() && l.defect != "large pages" {
			if err := out.Checkpoint(strconv.AppendInt(nil, int64(n+1), 10)); err != nil {
				return err
			}
		}
	}
	if l.defect != "never complete" {
		if err := out.SnapshotComplete(); err != nil {
			return err
		}
	}
	cursor := strconv.AppendInt(nil, int64(c.N), 10)
	switch l.defect {
	case "no last checkpoint":
		return nil
	case "secret in cursor":
		secret, _ := s.Secret(ctx, "token")
		cursor = []byte(secret)
	}
	return out.Checkpoint(cursor)
}

func (l *list) one(ctx context.Context, s *sdk.Session, c listConfig, n int, out *sdk.Output) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, fmt.Sprintf("%s/numbers?n=%d", c.Source, n), nil)
	if err != nil {
		return err
	}
	response, err := s.HTTP.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if err := sdk.CheckStatus(response); err != nil {
		return err
	}
	record, position := fmt.Sprintf(`{"n":%d,"who":"person%d"}`, n, n), fmt.Sprint("item ", n)
	switch {
	case l.defect == "logs the secret":
		secret, _ := s.Secret(ctx, "token")
		s.Log.Info("the token is " + secret)
	case l.defect == "wrong type" && n == 3:
		record = `{"n":"three","who":"person3"}`
	case l.defect == "same key" && n == 4:
		record = `{"n":3,"who":"person3"}`
	case l.defect == "subject in position":
		position = fmt.Sprintf("person%d", n)
	}
	return out.Record([]byte(record), position)
}

// recorder collects complaints instead of failing.
type recorder struct {
	*testing.T
	complaints []string
}

type fatal struct{}

func (r *recorder) Errorf(format string, args ...any) {
	r.complaints = append(r.complaints, fmt.Sprintf(format, args...))
}

func (r *recorder) Fatalf(format string, args ...any) {
	r.Errorf(format, args...)
	panic(fatal{})
}

func complaints(t *testing.T, run func(suite.T)) (all []string) {
	r := &recorder{T: t}
	defer func() {
		if trouble := recover(); trouble != nil && trouble != any(fatal{}) {
			panic(trouble)
		}
		all = r.complaints
	}()
	run(r)
	return r.complaints
}

// complaintsOf runs one check, by its name.
func complaintsOf(t *testing.T, s Subject, name string) []string {
	t.Helper()
	checks := suite.Open(s)
	defer checks.Close()
	return complaints(t, func(r suite.T) {
		for _, check := range append(checks.General(), checks.Streams(r)...) {
			if check.Name == name {
				check.Run(r)
				return
			}
		}
		t.Fatalf("there is no check %q", name)
	})
}

func subject(t *testing.T, defect string) Subject {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "Bearer t0ken-value" {
			w.WriteHeader(http.StatusUnauthorized)
		}
	}))
	t.Cleanup(server.Close)
	return Subject{
		Name: name(defect), New: func() sdk.Connector { return &list{defect: defect} },
		Config:  fmt.Sprintf(`{"source":%q,"n":23}`, server.URL),
		Secrets: map[string]string{"token": "t0ken-value"},
		Refused: map[string]string{"none": fmt.Sprintf(`{"source":%q,"n":0}`, server.URL), "no JSON": `{`},
	}
}

func TestAGoodConnectorPasses(t *testing.T) { Run(t, subject(t, "")) }

func TestDefectsAreFound(t *testing.T) {
	tests := []struct{ defect, check, complaint string }{
		{"impure", "describe is pure", "another answer"},
		{"schema", "schema of the configuration", "is a secret"},
		{"accepts", "bad configurations are refused", "none: want an *sdk.Error"},
		{"unreachable", "check", "no answer"},
		{"empty", "brings records", "is empty"},
		{"never complete", "brings records", "SnapshotComplete"},
		{"no last checkpoint", "brings records", "does not end with a checkpoint"},
		{"large pages", "pages are bounded", "23 records between two checkpoints"},
		{"loses on resume", "resumes at every checkpoint", "1 of 23 records are missing"},
		{"loses on resume", "as a process that ends early", "1 of 23 records are missing"},
		{"repeats at the end", "has nothing new at the end", "22 of 23 records are missing"},
		{"completes unchanged", "has nothing new at the end", "take back every record"},
		{"swallows errors", "stops when told", "instead of the Output's error"},
		{"logs the secret", "keeps secrets", "stands in the log"},
		{"secret in cursor", "keeps secrets", "stands in a cursor"},
		{"wrong type", "as a process", "field n is a string, not of type int"},
		{"same key", "as a process", "the same key"},
		{"subject in position", "as a process", "holds the subject"},
	}
	for _, test := range tests {
		t.Run(test.defect+"/"+test.check, func(t *testing.T) {
			s := subject(t, test.defect)
			found := complaintsOf(t, s, test.check)
			if !strings.Contains(strings.Join(found, "\n"), test.complaint) {
				t.Errorf("complaints: %q\nwant: %s", found, test.complaint)
			}
		})
	}
}
