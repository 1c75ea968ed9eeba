package lrs

import (
	"bytes"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
	"pgregory.net/rapid"

	"github.com/lrshub/lrshub/hub/database/databasetest"
)

func TestPostAndPutParts(t *testing.T) {
	for _, version := range []string{"1.0.3", "2.0.0"} {
		w := newWorld(t)
		dir := w.withBlobs()
		c := w.client(databasetest.Default, version, "all")
		attachments := with(attached(sha2(small), len(small), ""), attached(sha2(large), len(large), ""))
		id := uuid.NewString()
		statement := said("ann", "wrote", "essay", attachments)
		for range 2 { // the same again is no error, and kept once
			equal(t, "PUT", c.parts("PUT", statements+"?statementId="+id, first(statement), binary(small, sha2(small)), binary(large, sha2(large)), end).status, 204)
		}
		posted := c.parts("POST", statements, first("["+statement+","+said("bob", "wrote", "nothing", "")+"]"), binary(large, strings.ToUpper(sha2(large))), binary(small, sha2(small)), end)
		equal(t, "POST", posted.status, 200)
		equal(t, "without attachments", c.parts("POST", statements, first(said("eve", "wrote", "nothing", "")), end).status, 200)
		elsewhere := with(attached(sha2("x"), 1, `,"fileUrl":"https://school.example/x"`))
		equal(t, "with one elsewhere", c.parts("POST", statements, first(said("eve", "wrote", "nothing", elsewhere)), end).status, 200)
		equal(t, "with one elsewhere, in JSON", c.do("POST", statements, said("eve", "wrote", "nothing", elsewhere)).status, 200)
		equal(t, "nothing", c.parts("POST", statements, first("[]"), end).body, "[]\n")
		equal(t, "blobs", files(t, dir), 2)
		databasetest.Settle(t, w.db)

		want := map[string]string{sha2(small): small, sha2(large): large}
		single := c.message(c.do("GET", statements+"?attachments=true&statementId="+id, ""))
		if diff := cmp.Diff(want, single.contents); diff != "" {
			t.Errorf("%s: %s", version, diff)
		}
		equal(t, "type", single.types[sha2(small)], "text/plain")
		var list result
		all := c.message(c.do("GET", statements+"?attachments=true", ""))
		if err := json.Unmarshal(all.statements, &list); err != nil {
			t.Fatal(err)
		}
		equal(t, "statements", len(list.Statements), 6)
		if diff := cmp.Diff(want, all.contents); diff != "" {
			t.Errorf("%s: %s", version, diff)
		}
		if _, r := c.get("attachments=false"); len(r.Statements) != 6 {
			t.Errorf("%d statements", len(r.Statements))
		}
	}
}

// The pages after the first are in the form of the first.
func TestMoreInParts(t *testing.T) {
	w := newWorld(t)
	c := w.client(databasetest.Default, "1.0.3", "all")
	for i := range 3 {
		text := fmt.Sprint("essay ", i)
		equal(t, "POST", c.parts("POST", statements, first(said("ann", "wrote", "essay", with(attached(sha2(text), len(text), "")))), binary(text, sha2(text)), end).status, 200)
	}
	databasetest.Settle(t, w.db)
	seen := map[string]string{}
	path, pages := statements+"?attachments=true&limit=1", 0
	for ; path != ""; pages++ {
		m := c.message(c.do("GET", path, ""))
		var r result
		if err := json.Unmarshal(m.statements, &r); err != nil {
			t.Fatal(err)
		}
		equal(t, "attachments on a page", len(m.contents), 1)
		for hash, text := range m.contents {
			seen[hash] = text
		}
		path = *r.More
	}
	equal(t, "pages", pages, 3)
	equal(t, "attachments", len(seen), 3)
}

// HEAD answers as GET does, without the body.
func TestHeadOfStatements(t *testing.T) {
	w := newWorld(t)
	w.withBlobs()
	c := w.client(databasetest.Default, "2.0.0", "all")
	posted := c.parts("POST", statements, first(said("ann", "wrote", "essay", with(attached(sha2(large), len(large), "")))), binary(large, sha2(large)), end)
	var ids []string
	if err := json.Unmarshal([]byte(posted.body), &ids); err != nil {
		t.Fatal(err)
	}
	databasetest.Settle(t, w.db)
	for _, query := range []string{"", "?attachments=true", "?statementId=" + ids[0], "?attachments=true&statementId=" + ids[0], "?statementId=" + uuid.NewString(), "?limit=x"} {
		get, head := c.do("GET", statements+query, ""), c.do("HEAD", statements+query, "")
		equal(t, query, head.status, get.status)
		equal(t, query+": body", head.body, "")
		for name := range get.header {
			switch name {
			case "Date", "X-Experience-Api-Consistent-Through": // of the moment
				equal(t, query+": "+name, head.header.Get(name) != "", true)
			case "Content-Type": // each message has a boundary of its own
				equal(t, query+": "+name, essence(head.header.Get(name)), essence(get.header.Get(name)))
			case "Content-Length", "Transfer-Encoding": // the length may differ by the continuation, or be left out
			default:
				equal(t, query+": "+name, head.header.Get(name), get.header.Get(name))
			}
		}
	}
}

func essence(mediaType string) string {
	kind, _, _ := strings.Cut(mediaType, ";")
	return kind
}

func TestPartRefusals(t *testing.T) {
	w := newWorld(t)
	dir := w.withBlobs()
	c := w.client(databasetest.Default, "1.0.3", "all")
	one := said("ann", "wrote", "essay", with(attached(sha2(small), len(small), "")))
	both := said("ann", "wrote", "essay", with(attached(sha2(small), len(small), ""), attached(sha2(large), len(large), "")))
	ok := binary(small, sha2(small))
	for name, r := range map[string]struct {
		says     string
		sections []string
	}{
		"nothing at all":                {"part 1: its header is malformed", []string{""}},
		"only an end":                   {"the request has no part", []string{end}},
		"no boundary":                   {"", []string{"Content-Type: application/json\r\n\r\n" + one}},
		"no end":                        {"", []string{first(one), ok}},
		"an end in the middle":          {"", []string{first(one), strings.TrimSuffix(ok, "\r\n")}},
		"first part of another type":    {"the first part must be the statements", []string{section(one, "Content-Type: text/plain"), ok, end}},
		"first part of no type":         {"the first part must be the statements", []string{section(one, "X: y"), ok, end}},
		"first part is the attachment":  {"the first part must be the statements", []string{ok, first(one), end}},
		"first part is no JSON":         {"", []string{first("{"), ok, end}},
		"statements in two parts":       {"part 2: it must have the header X-Experience-API-Hash", []string{first(one), first(one), ok, end}},
		"no boundary between":           {"", []string{first(one + "\r\nContent-Type: text/plain\r\nX-Experience-API-Hash: " + sha2(small) + "\r\n\r\n" + small), end}},
		"no hash":                       {"part 2: it must have the header X-Experience-API-Hash", []string{first(one), section(small, "Content-Type: text/plain", "Content-Transfer-Encoding: binary"), end}},
		"another's hash":                {"part 2: its X-Experience-API-Hash is the sha2 of no attachment", []string{first(one), binary(small, sha2("x")), end}},
		"base64":                        {"part 2: it must have the header Content-Transfer-Encoding: binary", []string{first(one), section(small, "Content-Type: text/plain", "Content-Transfer-Encoding: base64", "X-Experience-API-Hash: "+sha2(small)), end}},
		"no encoding":                   {"part 2: it must have the header Content-Transfer-Encoding: binary", []string{first(one), section(small, "Content-Type: text/plain", "X-Experience-API-Hash: "+sha2(small)), end}},
		"another type":                  {"part 2: its Content-Type is not the contentType", []string{first(one), section(small, "Content-Type: image/png", "Content-Transfer-Encoding: binary", "X-Experience-API-Hash: "+sha2(small)), end}},
		"no type of anything":           {"part 2: its Content-Type is no media type", []string{first(one), section(small, "Content-Type: ;", "Content-Transfer-Encoding: binary", "X-Experience-API-Hash: "+sha2(small)), end}},
		"no length":                     {"part 2: its Content-Length is no number", []string{first(one), section(small, "Content-Length: x", "Content-Transfer-Encoding: binary", "X-Experience-API-Hash: "+sha2(small)), end}},
		"another length":                {"part 2: its Content-Length is not the length", []string{first(one), section(small, "Content-Length: 5", "Content-Transfer-Encoding: binary", "X-Experience-API-Hash: "+sha2(small)), end}},
		"another content":               {"part 2: its X-Experience-API-Hash is not the SHA-2 of its content", []string{first(one), binary(small+".", sha2(small)), end}},
		"another content, large":        {"part 3: its X-Experience-API-Hash is not the SHA-2 of its content", []string{first(both), ok, binary(large+".", sha2(large)), end}},
		"one missing":                   {"statement 0: attachment 0 has neither a fileUrl nor content", []string{first(both), binary(large, sha2(large)), end}},
		"one too many":                  {"part 3: its X-Experience-API-Hash is the sha2 of no attachment", []string{first(one), ok, binary("x", sha2("x")), end}},
		"a header too long":             {"part 2: its header has more than 65536 bytes", []string{first(one), section(small, "X: "+strings.Repeat("x", 80_000)), end}},
		"a header that is none":         {"part 2: its header is malformed", []string{first(one), section(small, "no header"), end}},
		"a preamble too long":           {"part 1: its header has more than 65536 bytes", []string{strings.Repeat("x\r\n", 40_000), first(one), ok, end}},
		"a statement that is not valid": {"actor", []string{first(strings.Replace(one, "mailto:", "", 1)), ok, end}},
	} {
		a := c.parts("POST", statements, r.sections...)
		if a.status != 400 || !strings.Contains(a.body, r.says) {
			t.Errorf("%s: %d %s", name, a.status, a.body)
		}
		for _, secret := range []string{"ann@", sha2(small), "simple"} {
			if strings.Contains(a.body, secret) {
				t.Errorf("%s: the answer repeats what was sent: %s", name, a.body)
			}
		}
	}
	for name, kind := range map[string]string{
		"no boundary": "multipart/mixed;", "a boundary too long": "multipart/mixed; boundary=" + strings.Repeat("x", 71), "form-data": "multipart/form-data; boundary=" + boundary,
		"another kind": "multipart/related; boundary=" + boundary, "plain": "text/plain", "none": "",
	} {
		equal(t, name, c.do("POST", statements, first(one)+ok+end, "Content-Type", kind).status, 400)
	}
	equal(t, "attachments in JSON", c.do("POST", statements, one).status, 400)
	equal(t, "PUT of another id", c.parts("PUT", statements+"?statementId="+uuid.NewString(), first(strings.Replace(one, "{", `{"id":"`+uuid.NewString()+`",`, 1)), ok, end).status, 400)
	equal(t, "PUT of two", c.parts("PUT", statements+"?statementId="+uuid.NewString(), first("["+one+"]"), ok, end).status, 400)
	var n int
	if err := w.owner.QueryRow("SELECT count(*) FROM statement").Scan(&n); err != nil {
		t.Fatal(err)
	}
	equal(t, "statements", n, 0)
	equal(t, "blobs", files(t, dir), 0)
}

// Whoever may not write is told so before anything of the body is read; whoever may not read sees no attachment, and pseudonyms have none.
func TestPartsAreDecided(t *testing.T) {
	w := newWorld(t)
	writer, reader := w.client(databasetest.Default, "1.0.3", "statements/write"), w.client(databasetest.Default, "1.0.3", "statements/read")
	analyst, stranger := w.client(databasetest.Default, "1.0.3", "statements/read/pseudonymised"), w.client(databasetest.Other, "1.0.3", "statements/read")
	text := first(said("ann", "wrote", "essay", with(attached(sha2(small), len(small), "")))) + binary(small, sha2(small)) + end
	equal(t, "a reader's POST", reader.parts("POST", statements, text).status, 403)
	posted := writer.parts("POST", statements, text)
	equal(t, "a writer's POST", posted.status, 200)
	databasetest.Settle(t, w.db)
	equal(t, "a reader's GET", len(reader.message(reader.do("GET", statements+"?attachments=true", "")).contents), 1)
	for name, c := range map[string]caller{"pseudonymised": analyst, "another tenant's": stranger} {
		m := c.message(c.do("GET", statements+"?attachments=true", ""))
		if len(m.contents) > 0 || bytes.Contains(m.statements, []byte(sha2(small))) {
			t.Errorf("%s: %v", name, m.contents)
		}
	}
}

// Whatever is sent comes back: sizes at the edges, every hash, contents that several statements share, both versions.
func TestLawPartsRoundTrip(t *testing.T) {
	w := newWorld(t)
	w.withBlobs()
	clients := []caller{w.client(databasetest.Default, "1.0.3", "all"), w.client(databasetest.Default, "2.0.0", "all")}
	random := rand.NewChaCha8([32]byte{1})
	hashes := []func(string) string{
		sha2,
		func(s string) string { sum := sha256.Sum224([]byte(s)); return hex.EncodeToString(sum[:]) },
		func(s string) string { sum := sha512.Sum384([]byte(s)); return hex.EncodeToString(sum[:]) },
		func(s string) string {
			sum := sha512.Sum512([]byte(s))
			return strings.ToUpper(hex.EncodeToString(sum[:]))
		},
	}
	rapid.Check(t, func(r *rapid.T) {
		c := rapid.SampledFrom(clients).Draw(r, "client")
		contents, sent := map[string]string{}, []string{}
		for range rapid.IntRange(1, 4).Draw(r, "contents") {
			text := make([]byte, rapid.SampledFrom([]int{0, 1, 1000, 64<<10 - 1, 64 << 10, 64<<10 + 1, 1 << 20}).Draw(r, "size"))
			random.Read(text)
			hash := rapid.SampledFrom(hashes).Draw(r, "hash")(string(text))
			if contents[hash] == "" {
				contents[hash], sent = string(text), append(sent, binary(string(text), hash))
			}
		}
		wants := map[string]map[string]string{}
		var list []string
		for range rapid.IntRange(1, 3).Draw(r, "statements") {
			want, objects := map[string]string{}, []string{}
			for hash, text := range contents {
				if len(wants) == 0 || rapid.Bool().Draw(r, "shared") { // the first names all
					want[hash], objects = text, append(objects, attached(hash, len(text), ""))
				}
			}
			id := uuid.NewString()
			wants[id] = want
			list = append(list, strings.Replace(said("ann", "wrote", "essay", with(objects...)), "{", `{"id":"`+id+`",`, 1))
		}
		if a := c.parts("POST", statements, first("["+strings.Join(list, ",")+"]"), strings.Join(sent, ""), end); a.status != 200 {
			r.Fatalf("%d %s", a.status, a.body)
		}
		reader := rapid.SampledFrom(clients).Draw(r, "reader")
		for id, want := range wants {
			m := reader.message(reader.do("GET", statements+"?attachments=true&statementId="+id, ""))
			if diff := cmp.Diff(want, m.contents); diff != "" {
				r.Fatal(diff[:min(len(diff), 2000)])
			}
		}
	})
}

// An attachment that cannot be read to its end ends the answer without an end: nobody may take it for whole.
func TestAnswerBrokenOff(t *testing.T) {
	w := newWorld(t)
	dir := w.withBlobs()
	c := w.client(databasetest.Default, "1.0.3", "all")
	equal(t, "POST", c.parts("POST", statements, first(said("ann", "wrote", "essay", with(attached(sha2(large), len(large), "")))), binary(large, sha2(large)), end).status, 200)
	databasetest.Settle(t, w.db)
	err := filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			err = os.Truncate(path, 100_000)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	r, err := http.NewRequestWithContext(t.Context(), "GET", w.server.URL+statements+"?attachments=true", nil)
	if err != nil {
		t.Fatal(err)
	}
	r.SetBasicAuth(c.key, c.secret)
	r.Header.Set("X-Experience-API-Version", "1.0.3")
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err == nil || slices.Contains([]string{"", large}, string(text)) {
		t.Errorf("%d bytes, and no error", len(text))
	}
}
