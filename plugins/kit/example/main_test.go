package main

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/lrshub/lrshub/plugins/kit"
	"github.com/lrshub/lrshub/plugins/sdk"
)

func TestMain(m *testing.M) {
	kit.Main(m, map[string]func() sdk.Connector{"quiz": New})
}

func TestConformance(t *testing.T) {
	const results, page = 23, 4
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "Bearer t0ken-value" {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		after, _ := strconv.Atoi(r.URL.Query().Get("after"))
		var list []string
		for id := after + 1; id <= min(after+page, results); id++ {
			list = append(list, fmt.Sprintf(`{"id":%d,"user":"learner%d","score":%d.5}`, id, id%5, id))
		}
		fmt.Fprintf(w, "[%s]", strings.Join(list, ","))
	}))
	defer server.Close()
	kit.Run(t, kit.Subject{
		Name: "quiz", New: New, Config: fmt.Sprintf(`{"url":%q}`, server.URL),
		Secrets: map[string]string{"token": "t0ken-value"}, Refused: map[string]string{"no url": `{}`},
	})
}

// TestReadmeShowsThisConnector keeps plugins/README.md true.
func TestReadmeShowsThisConnector(t *testing.T) {
	readme, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	code, err := os.ReadFile("main.go")
	if err != nil {
		t.Fatal(err)
	}
	_, shown, _ := strings.Cut(string(code), "package main")
	if !strings.Contains(string(readme), "```go\npackage main"+shown+"```") {
		t.Error("plugins/README.md shows other code than plugins/kit/example/main.go")
	}
}
