package ingest_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/hex"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/lrshub/lrshub/hub/blob"
	"github.com/lrshub/lrshub/hub/database"
	"github.com/lrshub/lrshub/hub/ingest"
	"github.com/lrshub/lrshub/hub/records"
	"github.com/lrshub/lrshub/hub/vault"
	"github.com/lrshub/lrshub/hub/xapi"
)

// What is small is in the row, what is large in one blob for all statements that name it, and nothing of either in clear.
func TestAttachmentsAreSealed(t *testing.T) {
	w := newWorld(t)
	_, dir := w.withBlobs()
	k := tokens{}
	secret, long := k.put("small"), ""
	long = strings.Repeat(k.put("large")+" ", 10_000)
	k["sha2 of the small"], k["sha2 of the large"] = sha2(secret), sha2(long)
	attachments := with(attached(sha2(secret), len(secret), ""), attached(sha2(long), len(long), ""))
	w.mustDeliver([]string{said(uuid.New(), "ann", attachments), said(uuid.New(), "bob", attachments)}, secret, long)
	equal(t, "rows", w.count("SELECT count(*) FROM statement_attachment"), 4)
	equal(t, "in the row", w.count("SELECT count(*) FROM statement_attachment WHERE content IS NOT NULL AND size = $1", len(secret)), 2)
	equal(t, "blobs", w.count("SELECT count(DISTINCT blob) FROM statement_attachment WHERE size = $1", len(long)), 1)
	equal(t, "files", blobs(t, dir), 1)
	w.hidden(k)
	err := filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		text, err := os.ReadFile(path)
		if bytes.Contains(text, []byte(long[:20])) {
			t.Error("a blob is in clear")
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestAttachmentRefusals(t *testing.T) {
	w := newWorld(t)
	_, dir := w.withBlobs()
	ann := func(more string) []string { return []string{said(uuid.New(), "ann", more)} }
	for name, c := range map[string]struct {
		statements []string
		contents   []string
		says       string
	}{
		"no content":                       {ann(with(attached(sha2(small), len(small), ""))), nil, "statement 0: attachment 0 has neither a fileUrl nor content"},
		"content of the first only":        {ann(with(attached(sha2(small), len(small), ""), attached(sha2(large), len(large), ""))), []string{small}, "attachment 1 has neither"},
		"content of the large only":        {ann(with(attached(sha2(small), len(small), ""), attached(sha2(large), len(large), ""))), []string{large}, "attachment 0 has neither"},
		"a part too many":                  {ann(with(attached(sha2(small), len(small), ""))), []string{small, large}, "is the sha2 of no attachment"},
		"a part for none":                  {ann(""), []string{small}, "is the sha2 of no attachment"},
		"signature of another contentType": {ann(with(`{"usageType":"` + xapi.SignatureUsage + `","display":{},"contentType":"text/plain","length":1,"sha2":"` + sha2("x") + `"}`)), nil, "must have the contentType application/octet-stream"},
		"signature that is elsewhere": {ann(with(`{"usageType":"` + xapi.SignatureUsage + `","display":{},"contentType":"application/octet-stream","length":1,"sha2":"` + sha2("x") +
			`","fileUrl":"https://school.example/x"}`)), nil, "its signature (attachment 0) must come with it"},
	} {
		_, err := w.deliver(one, c.statements, c.contents...)
		wantRefused(t, name, err, c.says)
	}
	equal(t, "statements", w.count("SELECT count(*) FROM statement"), 0)
	equal(t, "blobs", blobs(t, dir), 0)
}

// What a part's header says must be right: of its content, and of what the statements say.
func TestPartHeaders(t *testing.T) {
	w := newWorld(t)
	_, dir := w.withBlobs()
	for _, content := range []string{small, large} {
		for name, c := range map[string]struct {
			version xapi.Version
			part    ingest.Part
			body    string
			says    string
		}{
			"right":                   {xapi.V1, ingest.Part{SHA2: strings.ToUpper(sha2(content)), ContentType: "Text/Plain; charset=utf-8", Length: int64(len(content))}, content, ""},
			"nothing said":            {xapi.V1, ingest.Part{SHA2: sha2(content), Length: -1}, content, ""},
			"another type":            {xapi.V1, ingest.Part{SHA2: sha2(content), ContentType: "image/png", Length: -1}, content, "its Content-Type is not"},
			"another type in 2.0":     {xapi.V2, ingest.Part{SHA2: sha2(content), ContentType: "image/png", Length: -1}, content, ""},
			"another length":          {xapi.V1, ingest.Part{SHA2: sha2(content), Length: 7}, content, "its Content-Length is not the length that"},
			"cut off":                 {xapi.V1, ingest.Part{SHA2: sha2(content), Length: -1}, content[:len(content)-1], "is not the SHA-2 of its content"},
			"altered":                 {xapi.V1, ingest.Part{SHA2: sha2(content), Length: -1}, "A" + content[1:], "is not the SHA-2 of its content"},
			"longer":                  {xapi.V1, ingest.Part{SHA2: sha2(content), Length: -1}, content + "x", "is not the SHA-2 of its content"},
			"nothing":                 {xapi.V1, ingest.Part{SHA2: sha2(content), Length: -1}, "", "is not the SHA-2 of its content"},
			"hash that nothing names": {xapi.V1, ingest.Part{SHA2: sha2("x"), Length: -1}, content, "is the sha2 of no attachment"},
			"no hash":                 {xapi.V1, ingest.Part{Length: -1}, content, "is the sha2 of no attachment"},
		} {
			st, err := xapi.Parse([]byte(said(uuid.New(), "ann", with(attached(sha2(content), len(content), "")))), c.version)
			if err != nil {
				t.Fatal(err)
			}
			d, err := w.road.Delivery(one, []*xapi.Statement{st})
			if err != nil {
				t.Fatal(err)
			}
			if err := d.Add(c.part, strings.NewReader(c.body)); c.says != "" {
				wantRefused(t, name, err, c.says)
			} else if err != nil {
				t.Errorf("%s: %v", name, err)
			}
			d.Close()
			equal(t, name+": blobs", blobs(t, dir), 0)
		}
	}
}

// A body that breaks off gives its own error, and leaves nothing.
func TestBodyBreaksOff(t *testing.T) {
	w := newWorld(t)
	_, dir := w.withBlobs()
	broken := errors.New("broken")
	st, err := xapi.Parse([]byte(said(uuid.New(), "ann", with(attached(sha2(large), len(large), "")))), xapi.V1)
	if err != nil {
		t.Fatal(err)
	}
	for _, after := range []int{0, 10, 100_000} {
		d, err := w.road.Delivery(one, []*xapi.Statement{st})
		if err != nil {
			t.Fatal(err)
		}
		body := io.MultiReader(strings.NewReader(large[:after]), failing{broken})
		if err := d.Add(ingest.Part{SHA2: sha2(large), Length: -1}, body); !errors.Is(err, broken) {
			t.Errorf("after %d bytes: %v", after, err)
		}
		_, err = d.Store(t.Context(), caller(one), false)
		wantRefused(t, "a store all the same", err, "has neither a fileUrl nor content")
		d.Close()
	}
	equal(t, "blobs", blobs(t, dir), 0)
}

type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }

// A repeated request keeps nothing twice; one that fails keeps nothing.
func TestAttachmentRepeatsAndFailures(t *testing.T) {
	w := newWorld(t)
	_, dir := w.withBlobs()
	id := uuid.New()
	statement := said(id, "ann", with(attached(sha2(large), len(large), ""), attached(sha2(small), len(small), ""), attached(strings.ToUpper(sha2(small)), len(small), "")))
	for range 3 {
		w.mustDeliver([]string{statement}, large, small, large) // a content may come again
	}
	equal(t, "rows", w.count("SELECT count(*) FROM statement_attachment"), 2)
	equal(t, "blobs", blobs(t, dir), 1)

	_, err := w.deliver(one, []string{said(uuid.New(), "bob", with(attached(sha2(large), len(large), ""))), said(id, "eve", "")}, large)
	if !errors.Is(err, records.ErrConflict) {
		t.Errorf("a conflict: %v", err)
	}
	_, err = w.deliver(one, []string{said(uuid.New(), "bob", with(attached(sha2(large), len(large), "")))})
	wantRefused(t, "what is stored must be sent all the same", err, "neither a fileUrl nor content")
	equal(t, "rows", w.count("SELECT count(*) FROM statement_attachment"), 2)
	equal(t, "blobs", blobs(t, dir), 1)

	// Beside a repeated statement a new one has the same content: it keeps a blob of its own.
	w.mustDeliver([]string{statement, said(uuid.New(), "bob", with(attached(sha2(large), len(large), "")))}, large, small)
	equal(t, "rows", w.count("SELECT count(*) FROM statement_attachment"), 3)
	equal(t, "blobs", blobs(t, dir), 2)
	if _, err := w.deliver(two, []string{statement}, large, small); err != nil {
		t.Errorf("another tenant: %v", err)
	}
	equal(t, "rows", w.count("SELECT count(*) FROM statement_attachment WHERE tenant_id = 2"), 2)
	equal(t, "keys that two tenants share", w.count("SELECT count(*) FROM statement_attachment a JOIN statement_attachment b USING (key) WHERE a.tenant_id = 1 AND b.tenant_id = 2"), 0)
}

// With a fileUrl content may come or not.
func TestContentBesideFileURL(t *testing.T) {
	w := newWorld(t)
	w.withBlobs()
	elsewhere := with(attached(sha2(small), len(small), `,"fileUrl":"https://school.example/essay"`))
	w.mustDeliver([]string{said(uuid.New(), "ann", elsewhere)})
	equal(t, "rows", w.count("SELECT count(*) FROM statement_attachment"), 0)
	w.mustDeliver([]string{said(uuid.New(), "ann", elsewhere)}, small)
	equal(t, "rows", w.count("SELECT count(*) FROM statement_attachment"), 1)
}

// Without a folder for blobs, and beyond what one request may bring into rows, more is refused with a word to the operator; with one it goes there.
func TestLimitsOfRows(t *testing.T) {
	w := newWorld(t)
	_, err := w.deliver(one, []string{said(uuid.New(), "ann", with(attached(sha2(large), len(large), "")))}, large)
	wantRefused(t, "large", err, "until its operator gives it a folder")
	limit := strings.Repeat("x", 64<<10)
	w.mustDeliver([]string{said(uuid.New(), "ann", with(attached(sha2(limit), len(limit), "")))}, limit)
	_, err = w.deliver(one, []string{said(uuid.New(), "ann", with(attached(sha2(limit+"x"), len(limit)+1, "")))}, limit+"x")
	wantRefused(t, "a byte more", err, "until its operator gives it a folder")

	var many []string // one content for all of them: each would have it in its row
	for range 129 {
		many = append(many, said(uuid.New(), "ann", with(attached(sha2(limit), len(limit), ""))))
	}
	_, err = w.deliver(one, many, limit)
	wantRefused(t, "in too many rows", err, "8388608 in all")
	equal(t, "rows", w.count("SELECT count(*) FROM statement_attachment"), 1)
	_, dir := w.withBlobs()
	w.mustDeliver(many, limit)
	equal(t, "rows", w.count("SELECT count(*) FROM statement_attachment WHERE content IS NULL"), 129)
	equal(t, "blobs", blobs(t, dir), 1)
}

// A process that dies between blob and commit leaves a blob that no row names: the sweep takes it, and no other.
func TestCrashBetweenBlobAndCommit(t *testing.T) {
	w := newWorld(t)
	folder, dir := w.withBlobs()
	attachments := with(attached(sha2(large), len(large), ""))
	w.mustDeliver([]string{said(uuid.New(), "ann", attachments)}, large)
	st, err := xapi.Parse([]byte(said(uuid.New(), "bob", attachments)), xapi.V1)
	if err != nil {
		t.Fatal(err)
	}
	dead, err := w.road.Delivery(one, []*xapi.Statement{st})
	if err != nil {
		t.Fatal(err)
	}
	if err := dead.Add(ingest.Part{SHA2: sha2(large), Length: -1}, strings.NewReader(large)); err != nil {
		t.Fatal(err)
	}
	equal(t, "blobs", blobs(t, dir), 2) // and nobody closes it
	known := func(ctx context.Context, names []uuid.UUID) (map[uuid.UUID]bool, error) {
		found := map[uuid.UUID]bool{}
		for _, tenant := range []database.TenantID{one, two} {
			err := w.db.ReadTenant(ctx, tenant, func(ctx context.Context, tx *database.Tx) error {
				list, err := records.KnownBlobs(ctx, tx, names)
				for _, name := range list {
					found[name] = true
				}
				return err
			})
			if err != nil {
				return nil, err
			}
		}
		return found, nil
	}
	for before, want := range map[time.Time]int{time.Now().Add(-blob.Age): 0, time.Now().Add(time.Minute): 1} {
		n, err := folder.Sweep(t.Context(), before, known)
		if err != nil || n != want {
			t.Errorf("%d went, want %d: %v", n, want, err)
		}
	}
	equal(t, "blobs", blobs(t, dir), 1)
	equal(t, "named by a row", w.count("SELECT count(*) FROM statement_attachment WHERE blob IS NOT NULL"), 1)
}

// When the commit's answer is lost, the rows may be there: their blob stays. A trigger that ends the session when it commits loses the answer and the rows alike.
func TestCommitWithoutAnswer(t *testing.T) {
	w := newWorld(t)
	_, dir := w.withBlobs()
	_, err := w.owner.Exec(`
CREATE FUNCTION die() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$ BEGIN PERFORM pg_terminate_backend(pg_backend_pid()); RETURN NULL; END $$;
CREATE CONSTRAINT TRIGGER die AFTER INSERT ON statement_attachment DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION die()`)
	if err != nil {
		t.Fatal(err)
	}
	_, err = w.deliver(one, []string{said(uuid.New(), "ann", with(attached(sha2(large), len(large), "")))}, large)
	if !errors.Is(err, database.ErrUnavailable) {
		t.Errorf("%v", err)
	}
	equal(t, "blobs", blobs(t, dir), 1)
}

// Every SHA-2 is known by its length.
func TestHashes(t *testing.T) {
	w := newWorld(t)
	w.withBlobs()
	for _, content := range []string{"", small, large} {
		b := []byte(content)
		s224, s384, s512 := sha256.Sum224(b), sha512.Sum384(b), sha512.Sum512(b)
		for _, sum := range []string{hex.EncodeToString(s224[:]), sha2(content), hex.EncodeToString(s384[:]), hex.EncodeToString(s512[:])} {
			st, err := xapi.Parse([]byte(said(uuid.New(), "ann", with(attached(sum, len(content), "")))), xapi.V1)
			if err != nil {
				t.Fatal(err)
			}
			d, err := w.road.Delivery(one, []*xapi.Statement{st})
			if err != nil {
				t.Fatal(err)
			}
			if err := d.Add(ingest.Part{SHA2: sum, Length: -1}, strings.NewReader(content)); err != nil {
				t.Errorf("%d digits: %v", len(sum), err)
			}
			if _, err := d.Store(t.Context(), caller(one), false); err != nil {
				t.Error(err)
			}
			d.Close()
		}
	}
	equal(t, "rows", w.count("SELECT count(*) FROM statement_attachment"), 12)
}

// An attachment is sealed under the key of its statement's actor, and of no other, whoever was first to store that subject.
func TestAttachmentOfItsActor(t *testing.T) {
	w := newWorld(t)
	ids := w.mustDeliver([]string{
		said(uuid.New(), "ann", with(attached(sha2(small), len(small), ""))),
		`{"actor":{"objectType":"Group","member":[{"mbox":"mailto:bob@example.org"}]},"verb":{"id":"https://verbs.example/met"},"object":{"id":"https://x.example/a"}` +
			with(attached(sha2(small), len(small), "")) + `}`,
	}, small)
	for _, id := range ids {
		w.in(one, func(ctx context.Context, tx *database.Tx) error {
			var row struct{ Actor, Key uuid.UUID }
			if err := tx.GetContext(ctx, &row, "SELECT s.actor, a.key FROM statement s JOIN statement_attachment a ON a.statement_id = s.id WHERE s.id = $1", id); err != nil {
				return err
			}
			sealed, err := records.AttachmentContent(ctx, tx, id, row.Key)
			if err != nil {
				return err
			}
			plain, err := w.unseal(ctx, tx, row.Actor, records.AttachmentContentContext(id, row.Key), sealed)
			if err != nil || string(plain) != small {
				t.Errorf("%q, %v", plain, err)
			}
			if _, err := w.unseal(ctx, tx, row.Actor, records.AttachmentContentContext(uuid.New(), row.Key), sealed); !errors.Is(err, vault.ErrSealed) {
				t.Errorf("moved to another statement: %v", err)
			}
			return nil
		})
	}
}
