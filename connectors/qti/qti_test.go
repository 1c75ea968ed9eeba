package qti

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/lrshub/lrshub/plugins/kit"
	"github.com/lrshub/lrshub/plugins/sdk"
	"github.com/lrshub/lrshub/plugins/sdk/files/filestest"
	"github.com/lrshub/lrshub/plugins/sdk/sdktest"
)

func TestMain(m *testing.M) { kit.Main(m, map[string]func() sdk.Connector{"qti": New}) }

// site is a folder of results.
type site struct {
	*testing.T
	dir     string
	session *sdk.Session
	at      time.Time // of the next file that is written
}

func newSite(t *testing.T, settings string) *site {
	dir := t.TempDir()
	return &site{T: t, dir: dir, at: time.Date(2031, 5, 1, 10, 0, 0, 0, time.UTC),
		session: sdktest.Session(fmt.Sprintf(`{"folder":%q%s}`, dir, settings), nil, nil)}
}

// write writes a file, each a second after the one before.
func (s *site) write(name, text string) {
	s.Helper()
	path := filepath.Join(s.dir, name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		s.Fatal(err)
	}
	s.at = s.at.Add(time.Second)
	if err := os.Chtimes(path, s.at, s.at); err != nil {
		s.Fatal(err)
	}
}

func (s *site) try(stream string, cursor []byte) (*sdktest.Result, error) {
	return sdktest.Read(s.Context(), New(), s.session, sdk.Request{Stream: stream, Cursor: cursor})
}

func (s *site) read(stream string, cursor []byte) *sdktest.Result {
	s.Helper()
	got, err := s.try(stream, cursor)
	if err != nil {
		s.Fatal(err)
	}
	return got
}

// report is a document of one candidate with some items.
func report(namespace, candidate string, items int) string {
	var b strings.Builder
	fmt.Fprintf(&b, `<?xml version="1.0" encoding="UTF-8"?>
<assessmentResult%s><context sourcedId=%q><sessionIdentifier sourceID="https://exams.brook.example" identifier="sitting-%s"/></context>
<testResult identifier="safety" datestamp="2031-05-02T09:10:11.5">
 <responseVariable identifier="duration" cardinality="single" baseType="duration"><candidateResponse><value>PT1M59,5S</value></candidateResponse></responseVariable>
 <outcomeVariable identifier="SCORE" cardinality="single" baseType="float" normalMaximum="10" masteryValue="6"><value>7</value></outcomeVariable>
</testResult>`, namespace, candidate, candidate)
	for i := range items {
		fmt.Fprintf(&b, `
<itemResult identifier="q%d" datestamp="2031-05-02T09:0%d:00+02:00" sessionStatus="final" sequenceIndex="%d">
 <responseVariable identifier="numAttempts" cardinality="single" baseType="integer"><candidateResponse><value>1</value></candidateResponse></responseVariable>
 <responseVariable identifier="duration" cardinality="single" baseType="float"><candidateResponse><value>12.25</value></candidateResponse></responseVariable>
 <responseVariable identifier="RESPONSE" cardinality="multiple" baseType="identifier" choiceSequence="A B C"><correctResponse><value>A</value><value>B</value></correctResponse>
  <candidateResponse><value> B </value><value>A</value></candidateResponse></responseVariable>
 <outcomeVariable identifier="SCORE" cardinality="single" baseType="float"><value>1</value></outcomeVariable>
 <outcomeVariable identifier="MAXSCORE" cardinality="single" baseType="float"><value>2</value></outcomeVariable>
 <outcomeVariable identifier="completionStatus" cardinality="single" baseType="identifier"><value>completed</value></outcomeVariable>
 <templateVariable identifier="T" cardinality="single" baseType="string"><value>x</value></templateVariable>
</itemResult>`, i+1, i%10, i+1)
	}
	return b.String() + "\n</assessmentResult>\n"
}

const v2p1 = ` xmlns="http://www.imsglobal.org/xsd/imsqti_result_v2p1"`

func TestConformance(t *testing.T) {
	s := newSite(t, "")
	for i := range 9 {
		s.write(fmt.Sprintf("r%d.xml", i), report(v2p1, fmt.Sprintf("cand-%d", i), 2+i))
	}
	s.write("broken.xml", "<assessmentResult><context")
	server := filestest.Start(t, s.dir)
	refused := map[string]string{
		"no folder": `{}`, "missing folder": `{"folder":"/nowhere/at/all"}`, "outside": fmt.Sprintf(`{"folder":%q,"pattern":"../*"}`, s.dir),
		"zone": fmt.Sprintf(`{"folder":%q,"timezone":"Atlantis"}`, s.dir), "misspelt": fmt.Sprintf(`{"folder":%q,"patern":"x"}`, s.dir),
	}
	// One file is read whole.
	t.Run("local", func(t *testing.T) {
		kit.Run(t, kit.Subject{Name: "qti", New: New, Config: string(s.session.Config), Refused: refused, Slack: 12})
	})
	t.Run("sftp", func(t *testing.T) {
		kit.Run(t, kit.Subject{Name: "qti", New: New, Config: fmt.Sprintf(`{"folder":".","sftp":%s}`, server.Config()), Secrets: server.Secrets(), Slack: 12,
			Refused: map[string]string{"missing folder": fmt.Sprintf(`{"folder":"out","sftp":%s}`, server.Config())}})
	})
}

// TestRecords: whatever the namespace, a document gives the same records.
func TestRecords(t *testing.T) {
	wantTest := `{"candidate":"cand-7","session":"sitting-cand-7","test":"safety","stamp":"2031-05-02T09:10:11.5","at":"2031-05-02T07:10:11.5Z","duration":119.5,"score":7,"max":10,"mastery":6,` +
		`"outcomes":[{"id":"SCORE","base":"float","cardinality":"single","values":["7"]}]}`
	wantItem := `{"candidate":"cand-7","session":"sitting-cand-7","test":"safety","stamp":"2031-05-02T09:00:00+02:00","at":"2031-05-02T07:00:00Z","duration":12.25,"score":1,"max":2,` +
		`"outcomes":[{"id":"SCORE","base":"float","cardinality":"single","values":["1"]},{"id":"MAXSCORE","base":"float","cardinality":"single","values":["2"]},` +
		`{"id":"completionStatus","base":"identifier","cardinality":"single","values":["completed"]}],` +
		`"item":"q1","attempt":1,"status":"final","sequence":1,"completion":"completed","correct":true,` +
		`"responses":[{"id":"RESPONSE","base":"identifier","cardinality":"multiple","values":["B","A"],"correct":["A","B"],"choices":["A","B","C"]}]}`
	for _, namespace := range []string{"", v2p1, strings.Replace(v2p1, "v2p1", "v2p2", 1), strings.Replace(v2p1, "v2p1", "v3p0", 1), ` xmlns="urn:wrong"`} {
		s := newSite(t, `,"timezone":"Europe/Berlin"`)
		s.write("one.xml", report(namespace, "cand-7", 1))
		if got := s.read("test", nil); len(got.Records) != 1 || got.Records[0] != wantTest || len(got.Bad) > 0 {
			t.Errorf("%q: test %v, bad %v", namespace, got.Records, got.Bad)
		}
		if got := s.read("item", nil); len(got.Records) != 1 || got.Records[0] != wantItem || len(got.Bad) > 0 {
			t.Errorf("%q: item %v, bad %v", namespace, got.Records, got.Bad)
		}
	}
}

func TestLatin1(t *testing.T) {
	s := newSite(t, "")
	s.write("one.xml", strings.NewReplacer("UTF-8", "ISO-8859-1", "Joerg", "J\xfcrg").Replace(report(v2p1, "Joerg", 0)))
	if got := s.read("test", nil); len(got.Records) != 1 || !strings.Contains(got.Records[0], `"candidate":"Jürg"`) {
		t.Errorf("%v %v", got.Records, got.Bad)
	}
}

func TestCorrect(t *testing.T) {
	yes, no := true, false
	of := func(cardinality string, values, right []string) variable {
		return variable{Cardinality: cardinality, Values: values, Correct: right}
	}
	for _, test := range []struct {
		responses []variable
		want      *bool
	}{
		{nil, nil},
		{[]variable{of("single", []string{"A"}, nil)}, nil},
		{[]variable{of("single", []string{"A"}, []string{"A"})}, &yes},
		{[]variable{of("single", nil, []string{"A"})}, &no},
		{[]variable{of("multiple", []string{"B", "A"}, []string{"A", "B"})}, &yes},
		{[]variable{of("ordered", []string{"B", "A"}, []string{"A", "B"})}, &no},
		{[]variable{of("single", []string{"A"}, []string{"A"}), of("single", []string{"A"}, []string{"B"})}, &no},
		{[]variable{of("single", []string{"A"}, []string{"A"}), of("single", []string{"A"}, nil)}, nil},
	} {
		got := correct(test.responses)
		if (got == nil) != (test.want == nil) || got != nil && *got != *test.want {
			t.Errorf("%+v: %v", test.responses, got)
		}
	}
}

func TestSeconds(t *testing.T) {
	for text, want := range map[string]float64{"12.5": 12.5, "PT1M59,57S": 119.57, "PT25.266422S": 25.266422, "P1DT1H": 90000, "PT0S": 0, "0": 0} {
		if got := seconds(text); got == nil || *got-want > 1e-9 || want-*got > 1e-9 {
			t.Errorf("%s: %v", text, got)
		}
	}
	for _, text := range []string{"", "soon", "-3", "NaN", "1e999", "P1Y"} {
		if got := seconds(text); got != nil {
			t.Errorf("%s: %v", text, *got)
		}
	}
}

// TestHostileDocuments: nothing outside the document is read, nothing grows, and no complaint says what stood there.
func TestHostileDocuments(t *testing.T) {
	secret := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(secret, []byte("zq-secret"), 0o600); err != nil {
		t.Fatal(err)
	}
	laughs := `<!DOCTYPE r [<!ENTITY a "haha">`
	for i := range 12 {
		laughs += fmt.Sprintf(`<!ENTITY %c "%s">`, 'b'+i, strings.Repeat(fmt.Sprintf("&%c;", 'a'+i), 10))
	}
	body := strings.TrimPrefix(report(v2p1, "cand-1", 1), `<?xml version="1.0" encoding="UTF-8"?>`)
	documents := map[string]string{
		"entity.xml":    `<!DOCTYPE r [<!ENTITY x SYSTEM "file://` + secret + `">]>` + strings.Replace(body, "cand-1", "&x;", 1),
		"laughs.xml":    laughs + "]>" + strings.Replace(body, "cand-1", "&l;", 1),
		"undefined.xml": strings.Replace(body, `identifier="safety"`, `identifier="&PRIVATE;"`, 1),
		"other.xml":     `<html><PRIVATE/></html>`, "empty.xml": "", "text.xml": "PRIVATE", "cut.xml": body[:len(body)/2],
		"encoding.xml": `<?xml version="1.0" encoding="x-PRIVATE"?>` + body,
		"utf8.xml":     strings.Replace(body, "cand-1", "\xff\xfePRIVATE", 1),
		"deep.xml":     strings.Replace(body, "</context>", "</context>"+strings.Repeat("<a>", 200_000), 1),
	}
	for name, text := range documents {
		t.Run(name, func(t *testing.T) {
			s := newSite(t, "")
			s.write(name, text)
			for _, stream := range []string{"test", "item"} {
				got := s.read(stream, nil)
				if len(got.Bad) != 1 || got.Bad[0].Code != sdk.BadRecord || len(got.Bad[0].JSON) > 0 {
					t.Errorf("%s: bad %v", stream, got.Bad)
				}
				if all := fmt.Sprint(got.Bad, got.Records, got.Positions); strings.Contains(all, "PRIVATE") || strings.Contains(all, "zq-secret") || strings.Contains(all, "hahahaha") || strings.Contains(all, name) {
					t.Errorf("%s: %s", stream, all)
				}
				if again := s.read(stream, got.Cursors[len(got.Cursors)-1]); len(again.Bad) > 0 {
					t.Errorf("%s: it is reported again", stream)
				}
			}
		})
	}
}

func TestTooLarge(t *testing.T) {
	s := newSite(t, "")
	s.write("large.xml", "")
	if err := os.Truncate(filepath.Join(s.dir, "large.xml"), maxFile+1); err != nil {
		t.Fatal(err)
	}
	if got := s.read("test", nil); len(got.Bad) != 1 || got.Bad[0].Code != sdk.TooLarge {
		t.Errorf("bad %v", got.Bad)
	}
}

// TestUploads: what a candidate uploaded is left out.
func TestUploads(t *testing.T) {
	s := newSite(t, "")
	s.write("one.xml", strings.Replace(report(v2p1, "cand-1", 1), `cardinality="multiple" baseType="identifier"`, `cardinality="single" baseType="file"`, 1))
	got := s.read("item", nil)
	var i item
	if err := json.Unmarshal([]byte(got.Records[0]), &i); err != nil || len(i.Responses) != 1 || i.Responses[0].Values != nil {
		t.Errorf("%v, %v", got.Records, err)
	}
}

// TestChangingFolder: what is new, changed or late is brought, and little else.
func TestChangingFolder(t *testing.T) {
	s := newSite(t, "")
	const n = 400
	for i := range n {
		s.write(fmt.Sprintf("r%d.xml", i), report(v2p1, fmt.Sprintf("cand-%d", i), 1))
	}
	cursor := last(t, s.read("test", nil), n)
	if got := s.read("test", cursor); len(got.Events) > 0 && len(got.Records)+len(got.Cursors) > 0 {
		t.Errorf("unchanged: %d records", len(got.Records))
	}
	brought := func(got *sdktest.Result, candidate string) bool {
		return slices.ContainsFunc(got.Records, func(r string) bool { return strings.Contains(r, `"candidate":"`+candidate+`"`) })
	}
	s.write("new.xml", report(v2p1, "new", 1))
	got := s.read("test", cursor)
	if !brought(got, "new") || len(got.Records) > 2*stretchFiles {
		t.Errorf("a new file: %d records", len(got.Records))
	}
	cursor = last(t, got, 1)
	now := s.at
	s.at = now.Add(-300 * time.Second)
	s.write("late.xml", report(v2p1, "late", 1)) // copied with its time kept
	got = s.read("test", cursor)
	if !brought(got, "late") || len(got.Records) > 2*stretchFiles {
		t.Errorf("a late file: %d records", len(got.Records))
	}
	cursor = last(t, got, 1)
	s.at = now.Add(time.Second)
	s.write("r3.xml", report(v2p1, "changed", 1))
	got = s.read("test", cursor)
	if !brought(got, "changed") || len(got.Records) > 3*stretchFiles {
		t.Errorf("a changed file: %d records", len(got.Records))
	}
	cursor = last(t, got, 1)
	for i := range 100 { // moved away
		if err := os.Remove(filepath.Join(s.dir, fmt.Sprintf("r%d.xml", 100+i))); err != nil {
			t.Fatal(err)
		}
	}
	got = s.read("test", cursor)
	if len(got.Records) > 3*stretchFiles {
		t.Errorf("files moved away: %d records", len(got.Records))
	}
	if again := s.read("test", last(t, got, 0)); len(again.Records) > 0 {
		t.Errorf("nothing new: %d records", len(again.Records))
	}
}

func last(t *testing.T, got *sdktest.Result, atLeast int) []byte {
	t.Helper()
	if len(got.Cursors) == 0 || len(got.Records) < atLeast {
		t.Fatalf("%d records, %d checkpoints", len(got.Records), len(got.Cursors))
	}
	return got.Cursors[len(got.Cursors)-1]
}

// TestGrowingFile: a file that is still being written is left for the next run; one that stays cut is reported.
func TestGrowingFile(t *testing.T) {
	s := newSite(t, "")
	text := report(v2p1, "cand-1", 3)
	s.write("one.xml", text[:len(text)-100])
	written := s.at
	s.session.Now = func() time.Time { return written.Add(time.Second) }
	got := s.read("item", nil)
	if len(got.Bad) > 0 {
		t.Fatalf("bad %v", got.Bad)
	}
	s.session.Now = func() time.Time { return written.Add(time.Minute) }
	cursor := last(t, got, 0)
	if again := s.read("item", cursor); len(again.Bad) != 1 {
		t.Errorf("a file that stays cut: %v", again.Bad)
	}
	s.write("one.xml", text)
	if again := s.read("item", cursor); len(again.Bad) > 0 || len(again.Records) != 3 {
		t.Errorf("a file that was completed: %d records, bad %v", len(again.Records), again.Bad)
	}
}

// TestCursorStaysSmall: a folder of very many files has a cursor that fits.
func TestCursorStaysSmall(t *testing.T) {
	m := &memory{}
	var list []found
	at := time.Unix(1_900_000_000, 0)
	for i := range 1_000_000 {
		f := newFound("r", int64(i), at.Add(time.Duration(i)*time.Second))
		list = append(list, f)
		m.add(f, true)
	}
	text := m.encode()
	if len(text) > sdk.MaxCursor {
		t.Fatalf("%d bytes", len(text))
	}
	for _, s := range parseMemory(text).list {
		part, rest := split(list, s.until)
		if !s.same(part) {
			t.Fatal("a stretch is not known again")
		}
		list = rest
	}
	if len(list) > 0 {
		t.Errorf("%d files are not known", len(list))
	}
}

func TestCutConnection(t *testing.T) {
	s := newSite(t, "")
	for i := range 200 {
		s.write(fmt.Sprintf("r%d.xml", i), report(v2p1, fmt.Sprintf("cand-%d", i), 5))
	}
	server := filestest.Start(t, s.dir)
	s.session = sdktest.Session(fmt.Sprintf(`{"folder":".","sftp":%s}`, server.Config()), nil, server.Secrets())
	server.CutAfter(300 << 10)
	got, err := s.try("item", nil)
	var known *sdk.Error
	if !errors.As(err, &known) || known.Class != sdk.ClassTransient || len(got.Bad) > 0 || len(got.Records) == 0 || len(got.Records) >= 1000 {
		t.Fatalf("%v, %d records, bad %v", err, len(got.Records), got.Bad)
	}
	server.CutAfter(-1)
	if got := s.read("item", nil); len(got.Records) != 1000 {
		t.Errorf("%d records", len(got.Records))
	}
}
