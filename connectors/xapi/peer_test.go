package xapi

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/lrshub/lrshub/plugins/sdk"
	"github.com/lrshub/lrshub/plugins/sdk/sdktest"
)

// TestPeer tries the connector on a store of another make that runs on this machine, for instance Learning Locker's statement service
// (npm xapi-statements, all its stores in memory): LRSHUB_TEST_XAPI_PEER=http://127.0.0.1:8991/xAPI. It must take any credential, and be empty.
func TestPeer(t *testing.T) {
	endpoint := os.Getenv("LRSHUB_TEST_XAPI_PEER")
	if endpoint == "" {
		t.Skip("LRSHUB_TEST_XAPI_PEER names no other store to try the connector on")
	}
	post := func(kind string, body []byte) {
		t.Helper()
		r, _ := http.NewRequestWithContext(t.Context(), http.MethodPost, endpoint+"/statements", bytes.NewReader(body))
		r.Header.Set("Content-Type", kind)
		r.Header.Set("X-Experience-API-Version", "1.0.3")
		r.SetBasicAuth("k", "s")
		response, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer response.Body.Close()
		if response.StatusCode != http.StatusOK {
			t.Fatalf("the peer answers %d", response.StatusCode)
		}
	}
	of := func(id, verb, object, more string) string {
		return fmt.Sprintf(`{"id":%q,"actor":{"mbox":"mailto:a@old.example"},"verb":{"id":%q},"object":%s%s}`, id, verb, object, more)
	}
	const quiz = `{"id":"https://old.example/quiz"}`
	var all []string
	for range 6 {
		var batch []string
		for range 150 {
			all = append(all, uuid.NewString())
			batch = append(batch, of(all[len(all)-1], "http://adlnet.gov/expapi/verbs/passed", quiz, ""))
		}
		post("application/json", []byte("["+strings.Join(batch, ",")+"]"))
	}
	void := func(target string) {
		all = append(all, uuid.NewString())
		post("application/json", []byte(of(all[len(all)-1], verbVoided, fmt.Sprintf(`{"objectType":"StatementRef","id":%q}`, target), "")))
	}
	void(all[7])
	content := "a certificate\r\nof two lines"
	hash := fmt.Sprintf("%x", sha256.Sum256([]byte(content)))
	all = append(all, uuid.NewString())
	post("multipart/mixed; boundary=edge", []byte("--edge\r\nContent-Type: application/json\r\n\r\n"+of(all[len(all)-1], "http://adlnet.gov/expapi/verbs/passed", quiz,
		fmt.Sprintf(`,"attachments":[{"usageType":"https://old.example/c","display":{"en":"c"},"contentType":"text/plain","length":%d,"sha2":%q}]`, len(content), hash))+
		"\r\n--edge\r\nContent-Type: text/plain\r\nContent-Transfer-Encoding: binary\r\nX-Experience-API-Hash: "+hash+"\r\n\r\n"+content+"\r\n--edge--\r\n"))

	session := sdktest.Session(fmt.Sprintf(`{"endpoint":%q,"key":"k","page":100}`, endpoint), &http.Client{Transport: basic{}}, nil)
	read := func(cursor []byte) (ids []string, last []byte, attached []byte) {
		t.Helper()
		got, err := sdktest.Read(t.Context(), New(), session, sdk.Request{Stream: streamName, Cursor: cursor})
		if err != nil || len(got.Bad) > 0 {
			t.Fatalf("%v, bad %v", err, got.Bad)
		}
		for _, text := range got.Records {
			var rec sdk.StatementRecord
			if err := json.Unmarshal([]byte(text), &rec); err != nil {
				t.Fatal(err)
			}
			ids = append(ids, rec.ID)
			if len(rec.Attachments) > 0 {
				attached = rec.Attachments[0].Data
			}
		}
		if last = cursor; len(got.Cursors) > 0 {
			last = got.Cursors[len(got.Cursors)-1]
		}
		slices.Sort(ids)
		return ids, last, attached
	}
	want := slices.Sorted(slices.Values(all))
	began := time.Now()
	ids, cursor, attached := read(nil)
	if !slices.Equal(ids, want) || string(attached) != content {
		t.Errorf("%d statements, want %d; the attachment is %q", len(ids), len(want), attached)
	}
	t.Logf("%d statements in %v", len(ids), time.Since(began))
	if ids, cursor, _ = read(cursor); len(ids) > 0 {
		t.Errorf("nothing new, and %d statements", len(ids))
	}
	void(all[9])
	if ids, _, _ = read(cursor); !slices.Equal(ids, slices.Sorted(slices.Values([]string{all[9], all[len(all)-1]}))) {
		t.Errorf("after one more voiding statement: %v", ids)
	}
}
