package kit

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/lrshub/lrshub/plugins/contract"
	"github.com/lrshub/lrshub/plugins/kit/suite"
	"github.com/lrshub/lrshub/plugins/sdk"
)

// pages reads a source that names the next page by a token, unless it has a defect. Each defect is one that authors make.
type pages struct{ defect string }

// pageDefects says for each defect which check finds it, and a part of its complaint.
var pageDefects = []struct{ defect, check, complaint string }{
	{"ends when refused", "429 and 503", "says that all went well"},
	{"forgets the wait", "429 and 503", "class config; the class must be rate_limit,"},
	{"unclassified", "429 and 503", "no *sdk.Error"},
	{"checkpoint first", "429 and 503", "a checkpoint must not come before"},
	{"checkpoint first", "killed in mid-page", "a checkpoint must not come before"},
	{"complete first", "429 and 503", "would take those back"},
	{"quotes", "refused and broken answers", "quotes the source's answer"},
	{"quotes", "200 that carries an error", "quotes the source's answer"},
	{"takes all", "200 that carries an error", "take them back"},
	{"no cursor", "expired and foreign cursors", "brings 0 of 22"},
	{"hates repetition", "a record on two pages", "must not end the read"},
	{"endless", "a page twice, a page for ever", "and would go on"},
	{"stops at empty", "an empty page with a next", "take them back"},
	{"drops odd text", "invalid UTF-8", "did not come"},
	{"reads little", "a record of 10 MB", "keep no own limit"},
	{"until now", "wrong clocks", "a snapshot has no upper bound"},
	{"local time", "time zones and DST", "another content"},
	{"dials", "dials nowhere itself", "all requests go through Session.HTTP"},
	{"asks twice more", "asks no more than it needs", "same request more than 2 times"},
	{"hides deletes", "deletes as declared", "still comes"},
	{"commits once", "commit is idempotent", "told twice"},
}

func init() {
	for _, d := range pageDefects {
		extra[pagesName(d.defect)] = func() sdk.Connector { return &pages{defect: d.defect} }
	}
	extra[pagesName("")] = func() sdk.Connector { return &pages{} }
}

func pagesName(defect string) string { return strings.ReplaceAll("pages"+defect, " ", "-") }

func (p *pages) Describe(config []byte) (sdk.Description, error) {
	d := sdk.Description{
		Name: pagesName(p.defect), Version: "1.0.0", Summary: "items of a source that pages",
		ConfigSchema: `{"type":"object","properties":{"source":{"type":"string"},"token":{"type":"string","x-secret":true}}}`,
	}
	var c struct{ Source string }
	if config == nil {
		return d, nil
	}
	if err := json.Unmarshal(config, &c); err != nil || c.Source == "" {
		return d, sdk.Errorf(sdk.ClassConfig, "source is missing")
	}
	d.Hosts, d.Auth = []string{c.Source}, []sdk.Auth{{Kind: contract.AuthBearer, Secret: "token"}}
	d.Streams = []sdk.Stream{{
		Name: "items", Key: []string{"id"}, Subject: "who", Mode: contract.Snapshot, Deletes: contract.DeletesAbsence,
		Fields: []sdk.Field{{Name: "id", Type: contract.Int}, {Name: "who", Type: contract.String}, {Name: "at", Type: contract.String}},
	}}
	return d, nil
}

func (p *pages) Check(context.Context, *sdk.Session) error { return nil }

func (p *pages) Commit(context.Context, *sdk.Session, string, string, []byte) error {
	committed++
	if p.defect == "commits once" && committed > 2 {
		return errors.New("there is nothing to acknowledge")
	}
	return nil
}

var committed int // of one process

func (p *pages) Read(ctx context.Context, s *sdk.Session, r sdk.Request, out *sdk.Output) error {
	token := string(r.Cursor)
	if token != "" && token[0] != 't' {
		if p.defect == "no cursor" {
			return nil
		}
		token = ""
	}
	if p.defect == "complete first" {
		if err := out.SnapshotComplete(); err != nil {
			return err
		}
	}
	var late []json.RawMessage
	met, seen := map[string]bool{}, map[int]bool{}
	for {
		items, next, err := p.page(ctx, s, token)
		if err != nil {
			if p.defect == "ends when refused" {
				return out.Checkpoint([]byte(token))
			}
			return err
		}
		if p.defect == "checkpoint first" {
			items, late = late, items
			if next == "" {
				items = append(items, late...)
			}
		}
		if err := p.items(s, items, seen, out); err != nil {
			return err
		}
		if next == "" || p.defect == "stops at empty" && len(items) == 0 {
			break
		}
		if met[next] && p.defect != "endless" {
			return sdk.Errorf(sdk.ClassSourceBug, "the source gave the same page twice")
		}
		met[next] = true
		if err := out.Checkpoint([]byte(next)); err != nil {
			return err
		}
		token = next
	}
	if p.defect != "complete first" {
		if err := out.SnapshotComplete(); err != nil {
			return err
		}
	}
	return out.Checkpoint(nil)
}

func source(s *sdk.Session) string {
	var c struct{ Source string }
	_ = json.Unmarshal(s.Config, &c)
	return c.Source
}

// items brings the items of a page.
func (p *pages) items(s *sdk.Session, items []json.RawMessage, seen map[int]bool, out *sdk.Output) error {
	for i, item := range items {
		var known struct {
			ID int
			At time.Time
		}
		if p.defect == "drops odd text" && !utf8.Valid(item) {
			continue
		}
		if err := json.Unmarshal(item, &known); err != nil {
			return sdk.Errorf(sdk.ClassSourceBug, "item %d of a page has another form", i)
		}
		switch {
		case p.defect == "hates repetition" && seen[known.ID]:
			return sdk.Errorf(sdk.ClassSourceBug, "an item came twice")
		case p.defect == "until now" && known.At.After(s.Now()):
			continue
		case p.defect == "local time":
			item = fmt.Appendf(nil, `{"id":%d,"who":"w","at":%q}`, known.ID, known.At.Local())
		}
		seen[known.ID] = true
		if err := out.Record(item, "item "+strconv.Itoa(i)); err != nil {
			return err
		}
	}
	return nil
}

func (p *pages) page(ctx context.Context, s *sdk.Session, token string) ([]json.RawMessage, string, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, source(s)+"/items?token="+token, nil)
	if err != nil {
		return nil, "", err
	}
	client := s.HTTP
	if p.defect == "dials" {
		client = http.DefaultClient
	}
	for range 2 {
		if p.defect == "asks twice more" {
			if response, err := client.Do(request); err == nil {
				response.Body.Close()
			}
		}
	}
	response, err := client.Do(request)
	switch {
	case err != nil && p.defect == "unclassified":
		return nil, "", fmt.Errorf("no page: %v", err)
	case err != nil && p.defect == "forgets the wait":
		return nil, "", sdk.Errorf(sdk.ClassConfig, "no page")
	case err != nil:
		return nil, "", err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if p.defect == "reads little" && len(body) > 1<<20 {
		return nil, "", sdk.Errorf(sdk.ClassData, "an answer of more than 1 MiB")
	}
	if err != nil {
		return nil, "", err
	}
	var answer struct {
		Items []json.RawMessage
		Next  string
	}
	broken := json.Unmarshal(body, &answer)
	if p.defect == "quotes" && (response.StatusCode == http.StatusInternalServerError || broken != nil || answer.Items == nil) {
		return nil, "", sdk.Errorf(sdk.ClassTransient, "the source said %s", body)
	}
	if err := sdk.CheckStatus(response); err != nil {
		return nil, "", err
	}
	if broken != nil || answer.Items == nil && p.defect != "takes all" {
		return nil, "", sdk.Errorf(sdk.ClassTransient, "the source's answer is no page of items")
	}
	return answer.Items, answer.Next, nil
}

// pagesSubject is a connector with a source that has 22 items, 4 a page, and the newest of them is a minute old.
func pagesSubject(t *testing.T, defect string) Subject {
	var mu sync.Mutex
	var ids []int
	for id := range 22 {
		ids = append(ids, id+1)
	}
	newest := time.Now().UTC().Truncate(time.Second).Add(-time.Minute)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "Bearer t0ken-value" {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		mu.Lock()
		defer mu.Unlock()
		from, _ := strconv.Atoi(strings.TrimPrefix(r.URL.Query().Get("token"), "token"))
		var items []string
		for _, id := range ids[min(from, len(ids)):min(from+4, len(ids))] {
			items = append(items, fmt.Sprintf(`{"id":%d,"who":"person %d","at":%q}`, id, id%5, newest.Add(time.Duration(id-22)*time.Hour).Format(time.RFC3339)))
		}
		next := ""
		if from+4 < len(ids) {
			next = fmt.Sprint("token", from+4)
		}
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprintf(w, `{"items":[%s],"next":%q}`, strings.Join(items, ","), next)
	}))
	t.Cleanup(server.Close)
	return Subject{
		Name: pagesName(defect), New: func() sdk.Connector { return &pages{defect: defect} }, Config: fmt.Sprintf(`{"source":%q}`, server.URL),
		Secrets: map[string]string{"token": "t0ken-value"}, Refused: map[string]string{"none": `{}`}, Slack: 3,
		Remove: func(string) []any {
			if defect == "hides deletes" {
				return []any{1}
			}
			mu.Lock()
			defer mu.Unlock()
			id := ids[len(ids)-1]
			ids = slices.Delete(ids, len(ids)-1, len(ids))
			return []any{id}
		},
	}
}

// TestAGoodConnectorStandsFaults runs the suite as a test, and as the command line does, of the program alone.
func TestAGoodConnectorStandsFaults(t *testing.T) {
	Run(t, pagesSubject(t, ""))
	alone := pagesSubject(t, "")
	alone.New, alone.Slack = nil, suite.Measured
	outcomes := map[suite.Outcome]int{}
	good := suite.Examine(t.Context(), alone, func(r suite.Result) {
		outcomes[r.Outcome]++
		if r.Outcome != suite.Passed {
			t.Log(r.Check, r.Outcome, r.Why)
		}
	})
	if !good || outcomes[suite.Failed] > 0 || outcomes[suite.Passed] < 25 || outcomes[suite.Skipped] > 2 {
		t.Errorf("good: %t, outcomes: %v", good, outcomes)
	}
}

func TestFaultsFindDefects(t *testing.T) {
	for _, d := range pageDefects {
		t.Run(d.defect+"/"+d.check, func(t *testing.T) {
			t.Parallel()
			found := complaintsOf(t, pagesSubject(t, d.defect), d.check)
			if !strings.Contains(strings.Join(found, "\n"), d.complaint) || len(found) == 0 {
				t.Errorf("complaints: %q\nwant: %s", found, d.complaint)
			}
		})
	}
}
