package disclose_test

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"github.com/lrshub/lrshub/hub/access"
	"github.com/lrshub/lrshub/hub/blob"
	"github.com/lrshub/lrshub/hub/database"
	"github.com/lrshub/lrshub/hub/database/databasetest"
	"github.com/lrshub/lrshub/hub/disclose"
	"github.com/lrshub/lrshub/hub/ingest"
	"github.com/lrshub/lrshub/hub/records"
	"github.com/lrshub/lrshub/hub/vault"
	"github.com/lrshub/lrshub/hub/xapi"
)

func sha2(content string) string {
	sum := sha256.Sum256([]byte(content))
	return hex.EncodeToString(sum[:])
}

func attached(contents ...string) string {
	list := make([]string, len(contents))
	for i, content := range contents {
		list[i] = fmt.Sprintf(`{"usageType":"https://school.example/usage","display":{"en":"essay"},"contentType":"text/plain; n=%d","length":%d,"sha2":"%s"}`, i, len(content), sha2(content))
	}
	return `,"attachments":[` + strings.Join(list, ",") + `]`
}

// withBlobs gives both roads a folder for large attachments.
func (w *world) withBlobs() *blob.Folder {
	w.Helper()
	folder, err := blob.OpenFolder(w.TempDir())
	if err != nil {
		w.Fatal(err)
	}
	w.in.UseBlobs(folder)
	w.out.UseBlobs(folder)
	return folder
}

// deliver stores one batch with contents.
func (w *world) deliver(c access.Caller, statements []string, contents ...string) []uuid.UUID {
	w.Helper()
	batch, err := xapi.ParseBatch([]byte("["+strings.Join(statements, ",")+"]"), xapi.V2, 100)
	if err != nil {
		w.Fatal(err)
	}
	d, err := w.in.Delivery(c.Tenant, batch)
	if err != nil {
		w.Fatal(err)
	}
	defer d.Close()
	for _, content := range contents {
		if err := d.Add(ingest.Part{SHA2: sha2(content), Length: -1}, strings.NewReader(content)); err != nil {
			w.Fatal(err)
		}
	}
	ids, err := d.Store(w.Context(), c, false)
	if err != nil {
		w.Fatal(err)
	}
	databasetest.Settle(w, w.db)
	return ids
}

// readAll reads attachments to their ends, by sha2.
func (w *world) readAll(a *disclose.Attachments) map[string]string {
	w.Helper()
	found := map[string]string{}
	for shown, err := range a.Distinct(w.Context()) {
		if err != nil {
			w.Fatal(err)
		}
		text, err := io.ReadAll(shown.Content)
		if err != nil || int64(len(text)) != shown.Size || found[shown.SHA2] != "" || !strings.HasPrefix(shown.ContentType, "text/plain") {
			w.Errorf("%s: %d of %d bytes, %s, %v", shown.SHA2, len(text), shown.Size, shown.ContentType, err)
		}
		found[shown.SHA2] = string(text)
	}
	return found
}

func bySHA2(contents ...string) map[string]string {
	want := map[string]string{}
	for _, content := range contents {
		want[sha2(content)] = content
	}
	return want
}

var (
	small, other = "a small essay", "another one"
	large        = strings.Repeat("a long essay\n", 20_000)
)

func TestAttachments(t *testing.T) {
	w := newWorld(t)
	w.withBlobs()
	ids := w.deliver(writer, []string{said("ann", "wrote", "essay", attached(small, large)), said("bob", "wrote", "essay", attached(large, other)), said("eve", "wrote", "nothing", "")}, small, large, other)
	w.deliver(stranger2, []string{said("ann", "wrote", "essay", attached("of the other tenant"))}, "of the other tenant")

	page := w.page(reader, disclose.Query{Attachments: true})
	if diff := cmp.Diff(bySHA2(small, large, other), w.readAll(page.Attachments)); diff != "" {
		t.Error(diff)
	}
	all := map[uuid.UUID]int{}
	for shown, err := range page.Attachments.All(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		all[shown.Statement]++
	}
	if diff := cmp.Diff(map[uuid.UUID]int{ids[0]: 2, ids[1]: 2}, all); diff != "" {
		t.Errorf("by statement: %s", diff)
	}
	if page := w.page(reader, disclose.Query{}); page.Attachments != nil {
		t.Error("attachments that nobody asked for")
	}
	for i, want := range []map[string]string{bySHA2(small, large), bySHA2(large, other), {}} {
		st, err := w.out.StatementWithAttachments(t.Context(), reader, ids[i], false)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, w.readAll(st.Attachments)); diff != "" {
			t.Errorf("of statement %d: %s", i, diff)
		}
	}
	var counts []any
	for _, e := range w.events() {
		counts = append(counts, e.Fields["attachments"])
	}
	if diff := cmp.Diff([]any{4.0, nil, 2.0, 2.0, 0.0}, counts); diff != "" {
		t.Errorf("in the audit log: %s", diff)
	}
}

// A continuation goes on as its first page began.
func TestAttachmentsOfMore(t *testing.T) {
	w := newWorld(t)
	w.deliver(writer, []string{said("ann", "wrote", "1", attached(small)), said("ann", "wrote", "2", attached(other))}, small, other)
	first := w.page(reader, disclose.Query{Attachments: true, Limit: 1})
	second, err := w.out.More(t.Context(), reader, first.More)
	if err != nil {
		t.Fatal(err)
	}
	found := w.readAll(first.Attachments)
	if equal(t, "on the first page", len(found), 1); found[sha2(other)] == "" {
		t.Errorf("%v", found)
	}
	if diff := cmp.Diff(bySHA2(small), w.readAll(second.Attachments)); diff != "" {
		t.Error(diff)
	}
}

// The pseudonymised form has no attachment, and no hash by which one could be known.
func TestNoAttachmentUnderAPseudonym(t *testing.T) {
	w := newWorld(t)
	w.deliver(writer, []string{said("ann", "wrote", "essay", attached(small))}, small)
	page := w.page(analyst, disclose.Query{Attachments: true})
	equal(t, "statements", len(page.Statements), 1)
	equal(t, "attachments", len(w.readAll(page.Attachments)), 0)
	if contains(page.Statements[0], sha2(small)) || contains(page.Statements[0], "attachments") {
		t.Errorf("%s", page.Statements[0])
	}
}

// When the key of an actor is destroyed, the attachments are as unreadable as the statements; others of the same content are not touched.
func TestErasedAttachments(t *testing.T) {
	w := newWorld(t)
	w.withBlobs()
	ids := w.deliver(writer, []string{said("ann", "wrote", "essay", attached(small, large)), said("bob", "wrote", "essay", attached(large))}, small, large)
	before, ann := w.page(reader, disclose.Query{Attachments: true}), w.subject("ann")
	w.shred("ann")
	if diff := cmp.Diff(bySHA2(large), w.readAll(w.page(reader, disclose.Query{Attachments: true}).Attachments)); diff != "" {
		t.Error(diff)
	}
	if _, err := w.out.StatementWithAttachments(t.Context(), reader, ids[0], false); !errors.Is(err, records.ErrNotFound) {
		t.Errorf("%v", err)
	}
	// Nothing that is left of ann's opens her blob's key or her content.
	var rows []struct{ Header, Content []byte }
	w.tx(one, func(ctx context.Context, tx *database.Tx) error {
		if keys, err := w.vault.Keys(ctx, tx, []uuid.UUID{ann}, vault.Learning); err != nil || len(keys) > 0 {
			t.Errorf("%v, %v", keys, err)
		}
		return tx.SelectContext(ctx, &rows, "SELECT header, coalesce(content, '') AS content FROM statement_attachment WHERE statement_id = $1", ids[0])
	})
	equal(t, "rows", len(rows), 2)
	for _, row := range rows {
		if contains(row.Header, "sha2") || contains(row.Content, small) {
			t.Error("what is left is in clear")
		}
	}
	// Rows that go while a page is being sent are left out of it.
	if _, err := w.owner.Exec("DELETE FROM statement_attachment WHERE content IS NOT NULL"); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(bySHA2(large), w.readAll(before.Attachments)); diff != "" {
		t.Error(diff)
	}
}

// A blob that is gone, cut, or another's breaks the answer off: nothing is given for what it is not.
func TestLostBlob(t *testing.T) {
	w := newWorld(t)
	folder := w.withBlobs()
	w.deliver(writer, []string{said("ann", "wrote", "essay", attached(large))}, large)
	page := w.page(reader, disclose.Query{Attachments: true})
	stray, err := folder.Put(func(out io.Writer) error {
		_, err := io.WriteString(out, large)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		blob uuid.UUID
		want error
	}{"another": {stray, vault.ErrSealed}, "none": {uuid.New(), blob.ErrNotFound}} {
		if _, err := w.owner.Exec("UPDATE statement_attachment SET blob = $1", c.blob.String()); err != nil {
			t.Fatal(err)
		}
		var found error
		for shown, err := range w.page(reader, disclose.Query{Attachments: true}).Attachments.Distinct(t.Context()) {
			if found = err; err == nil {
				_, found = io.Copy(io.Discard, shown.Content)
			}
		}
		if !errors.Is(found, c.want) {
			t.Errorf("%s: %v", name, found)
		}
	}
	if diff := cmp.Diff(bySHA2(large), w.readAll(page.Attachments)); diff != "" {
		t.Error(diff)
	}
	without := w.road() // as a process that was not told where the folder is
	page, err = without.Page(t.Context(), reader, disclose.Query{Attachments: true, Until: time.Now()})
	if err != nil {
		t.Fatal(err)
	}
	for _, err := range page.Attachments.Distinct(t.Context()) {
		if err == nil {
			t.Error("an attachment out of nowhere")
		}
	}
}
