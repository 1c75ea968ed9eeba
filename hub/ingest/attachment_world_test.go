package ingest_test

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/uuid"

	"github.com/lrshub/lrshub/hub/blob"
	"github.com/lrshub/lrshub/hub/database"
	"github.com/lrshub/lrshub/hub/ingest"
	"github.com/lrshub/lrshub/hub/xapi"
)

// withBlobs gives the world's road a folder for large attachments.
func (w *world) withBlobs() (folder *blob.Folder, dir string) {
	w.Helper()
	dir = w.TempDir()
	folder, err := blob.OpenFolder(dir)
	if err != nil {
		w.Fatal(err)
	}
	w.road.UseBlobs(folder)
	return folder, dir
}

// blobs counts the files of a folder of blobs, finished or not.
func blobs(t *testing.T, dir string) (n int) {
	t.Helper()
	err := filepath.WalkDir(dir, func(_ string, d os.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			n++
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func sha2(content string) string {
	sum := sha256.Sum256([]byte(content))
	return hex.EncodeToString(sum[:])
}

// attached is an attachment object; more goes in at its end.
func attached(sha2 string, length int, more string) string {
	return fmt.Sprintf(`{"usageType":"https://school.example/usage","display":{"en":"essay"},"contentType":"text/plain","length":%d,"sha2":"%s"%s}`, length, sha2, more)
}

func with(attachments ...string) string {
	return `,"attachments":[` + strings.Join(attachments, ",") + `]`
}

// deliver sends statements with contents, each under its SHA-256, and gives the first error.
func (w *world) deliver(tenant database.TenantID, statements []string, contents ...string) ([]uuid.UUID, error) {
	w.Helper()
	batch, err := xapi.ParseBatch([]byte("["+strings.Join(statements, ",")+"]"), xapi.V1, 1000)
	if err != nil {
		w.Fatal(err)
	}
	d, err := w.road.Delivery(tenant, batch)
	if err != nil {
		return nil, err
	}
	defer d.Close()
	for _, content := range contents {
		if err := d.Add(ingest.Part{SHA2: sha2(content), Length: -1}, strings.NewReader(content)); err != nil {
			return nil, err
		}
	}
	return d.Store(w.Context(), caller(tenant), false)
}

func (w *world) mustDeliver(statements []string, contents ...string) []uuid.UUID {
	w.Helper()
	ids, err := w.deliver(one, statements, contents...)
	if err != nil {
		w.Fatal(err)
	}
	return ids
}

func wantRefused(t *testing.T, name string, err error, says string) {
	t.Helper()
	var refused *ingest.AttachmentError
	if !errors.As(err, &refused) || !strings.Contains(refused.Reason, says) {
		t.Errorf("%s: %v, want a refusal that says %q", name, err, says)
	}
}

var (
	small = "a small essay"
	large = strings.Repeat("a long essay\n", 20_000)
)
