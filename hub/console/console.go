// Package console is the web console: /console/. Pages are rendered here from html/template and read well without JavaScript, on a
// phone, in the dark and with a screen reader; the one script only brings news of a running sync sooner.
//
// Start with Handler. One file a page: connections.go (the first screen), connection.go (one connection), enter.go (records that people enter), problem.go (all that can go
// wrong); page.go has what they share, words.go says in words what states and numbers mean.
//
// The browser asks for a client's key and secret (HTTP Basic). Each page authenticates and asks the gate before anything is read, and shows
// nothing of a record: names, counts, codes and reasons only.
package console

import (
	"bytes"
	"context"
	"crypto/sha256"
	"embed"
	"encoding/base64"
	"io/fs"
	"net/http"
	"path"
	"strings"
	"time"

	"github.com/lrshub/lrshub/hub/access"
	"github.com/lrshub/lrshub/hub/audit"
	"github.com/lrshub/lrshub/hub/database"
	"github.com/lrshub/lrshub/hub/entry"
)

// Path is where the face is mounted.
const Path = "/console/"

// Authenticator says who is calling: auth's.
type Authenticator interface {
	Request(r *http.Request) (access.Caller, error)
}

// Decider is the gate.
type Decider interface {
	Decide(ctx context.Context, r access.Request) (access.Decision, error)
}

// Rooms are what the console is a face of.
type Rooms struct {
	DB      *database.DB
	Desk    *entry.Desk
	Auth    Authenticator
	Gate    Decider
	Signer  *audit.Signer
	Anchor  *audit.Anchor
	Now     func() time.Time
	Version string
}

type face struct{ Rooms }

//go:embed static
var static embed.FS

// Handler serves every path under Path. What changes something is a POST, which is taken from the console's own pages only.
func Handler(rooms Rooms) (http.Handler, error) {
	f := &face{rooms}
	mux := http.NewServeMux()
	if err := addStatic(mux); err != nil {
		return nil, err
	}
	mux.HandleFunc("GET /console/{$}", f.page(connectionsTitle, f.connections))
	mux.HandleFunc("GET /console/connections/{name}", f.page("Connection", f.connection))
	mux.HandleFunc("GET /console/connections/{name}/records", f.page("Enter records", f.enter))
	mux.HandleFunc("POST /console/connections/{name}/records", f.page("Enter records", f.enter))
	mux.HandleFunc(Path, f.page("Not found", func(*http.Request, access.Caller) (page, error) { return page{}, errNoPage }))
	return guard(http.NewCrossOriginProtection().Handler(mux)), nil
}

// addStatic adds the files that pages need. They hold nothing of anyone, so they ask for no credential.
func addStatic(mux *http.ServeMux) error {
	files, err := fs.ReadDir(static, "static")
	if err != nil {
		return err
	}
	for _, entry := range files {
		name := entry.Name()
		content, err := static.ReadFile(path.Join("static", name))
		if err != nil {
			return err
		}
		sum := sha256.Sum256(content)
		tag := `"` + base64.RawURLEncoding.EncodeToString(sum[:12]) + `"`
		mux.HandleFunc("GET /console/static/"+name, func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("ETag", tag)
			w.Header().Set("Cache-Control", "no-cache") // kept, and asked for again by its tag
			http.ServeContent(w, r, name, time.Time{}, bytes.NewReader(content))
		})
	}
	return nil
}

// guardHeaders bound what a page can do: its own style, script and pictures, no frame around it, nothing kept of it.
var guardHeaders = map[string]string{
	"Content-Security-Policy": strings.Join([]string{"default-src 'none'", "style-src 'self'", "script-src 'self'", "img-src 'self'",
		"connect-src 'self'", "form-action 'self'", "base-uri 'none'", "frame-ancestors 'none'"}, "; "),
	"X-Content-Type-Options":       "nosniff",
	"Referrer-Policy":              "no-referrer",
	"Cross-Origin-Opener-Policy":   "same-origin",
	"Cross-Origin-Resource-Policy": "same-origin",
	"Cache-Control":                "no-store",
}

func guard(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		for name, value := range guardHeaders {
			w.Header().Set(name, value)
		}
		next.ServeHTTP(w, r)
	})
}
