package main_test

import (
	"crypto/sha256"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Attachments that were acknowledged are there after kill -9 and a new start, the small and the large, and none of either stands in clear in the data folder.
func TestAttachmentsOutliveAKill(t *testing.T) {
	t.Parallel()
	hub := freshHub(t)
	up(t, hub)
	admin := person{t: t, hub: hub}
	contents := []string{strings.Repeat("a small essay\n", 10), strings.Repeat("a long essay\n", 100_000)}
	var objects, parts []string
	for _, content := range contents {
		hash := fmt.Sprintf("%x", sha256.Sum256([]byte(content)))
		objects = append(objects, fmt.Sprintf(`{"usageType":"https://school.example/essay","display":{"en":"essay"},"contentType":"text/plain","length":%d,"sha2":"%s"}`, len(content), hash))
		parts = append(parts, "--edge\r\nContent-Type: text/plain\r\nContent-Transfer-Encoding: binary\r\nX-Experience-API-Hash: "+hash+"\r\n\r\n"+content+"\r\n")
	}
	const path = "/xapi/statements?statementId=6b2b9e8a-4f3c-4b1d-9d5f-0a1b2c3d4e5f"
	statement := `{"actor":{"mbox":"mailto:ann@example.org"},"verb":{"id":"https://verbs.example/wrote"},"object":{"id":"https://school.example/essay"},"attachments":[` +
		strings.Join(objects, ",") + `]}`
	status, text := admin.xapi(http.MethodPut, path, "--edge\r\nContent-Type: application/json\r\n\r\n"+statement+"\r\n"+strings.Join(parts, "")+"--edge--\r\n")
	if status != http.StatusNoContent {
		t.Fatalf("%d %s", status, text)
	}
	if err := hub.Kill(); err != nil {
		t.Fatal(err)
	}
	up(t, hub)
	status, text = admin.xapi(http.MethodGet, path+"&attachments=true", "")
	for _, content := range contents {
		if status != http.StatusOK || !strings.Contains(text, "\r\n\r\n"+content+"\r\n--") {
			t.Errorf("%d: %d bytes came back, without one of %d", status, len(text), len(content))
		}
	}
	blobs := 0
	err := filepath.WalkDir(filepath.Join(hub.Data, "blobs"), func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		blobs++
		text, err := os.ReadFile(path)
		if strings.Contains(string(text), "essay") {
			t.Error("a blob is in clear")
		}
		return err
	})
	if err != nil || blobs != 1 {
		t.Errorf("%d blobs, %v", blobs, err)
	}
}
