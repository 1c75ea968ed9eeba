package console

import (
	"bytes"
	"embed"
	"errors"
	"fmt"
	"html/template"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"github.com/lrshub/lrshub/hub/access"
	"github.com/lrshub/lrshub/hub/auth"
	"github.com/lrshub/lrshub/hub/database"
)

//go:embed templates
var templates embed.FS

// page is what a template is shown.
type page struct {
	Title  string
	Client string // who is signed in; "" when nobody is
	Now    time.Time
	Live   bool   // something on it changes by itself
	Still  bool   // and the reader asked that it does not
	Back   string // the same page, live again or still
	Body   any

	name   string // of the template
	status int    // 0: 200
	hub    string // version
}

// Version is the hub's.
func (p page) Version() string { return p.hub }

// pages are the templates by name, each with the layout around it.
var pages = parse("connections", "connection", "enter", "problem")

func parse(names ...string) map[string]*template.Template {
	parsed := make(map[string]*template.Template, len(names))
	for _, name := range names {
		parsed[name] = template.Must(template.New("layout.html").Funcs(words).ParseFS(templates, "templates/layout.html", "templates/shared.html", "templates/"+name+".html"))
	}
	return parsed
}

// view reads what a page shows.
type view func(r *http.Request, caller access.Caller) (page, error)

// page does what comes before and after every view: who is calling, and rendering.
func (f *face) page(title string, show view) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		var p page
		r.Body = http.MaxBytesReader(w, r.Body, maxForm)
		caller, err := f.caller(r)
		if err == nil {
			p, err = show(r, caller)
		}
		if err != nil {
			p = problemPage(w, err)
		}
		if p.Title == "" {
			p.Title = title
		}
		p.Client, p.Now, p.hub = caller.Name, f.Now(), f.Version
		p.Still = r.URL.Query().Get("live") == "off"
		p.Back = back(r, p.Still)
		render(w, p)
	}
}

// caller says who is asking. What is no refusal is the database's failure: then nobody knows.
func (f *face) caller(r *http.Request) (access.Caller, error) {
	caller, err := f.Auth.Request(withToken(r))
	if err != nil && !errors.Is(err, auth.ErrUnauthenticated) {
		return access.Caller{}, fmt.Errorf("%w: %w", database.ErrUnavailable, err)
	}
	return caller, err
}

// back is the path and query of the same page with its live updates switched over.
func back(r *http.Request, still bool) string {
	query := r.URL.Query()
	query.Del("live")
	if !still {
		query.Set("live", "off")
	}
	if len(query) == 0 {
		return r.URL.EscapedPath()
	}
	return r.URL.EscapedPath() + "?" + query.Encode()
}

// withToken lets people paste a whole token (lrshub_KEY_SECRET, as in a local hub's admin.token) where the browser asks for a
// password; the user name is then not read.
func withToken(r *http.Request) *http.Request {
	_, password, ok := r.BasicAuth()
	if token := strings.TrimSpace(password); ok && strings.HasPrefix(token, "lrshub_") {
		r = r.Clone(r.Context())
		r.Header.Set("Authorization", "Bearer "+token)
	}
	return r
}

// render writes a page whole, or says that it could not.
func render(w http.ResponseWriter, p page) {
	var out bytes.Buffer
	if err := pages[p.name].Execute(&out, p); err != nil {
		slog.Error("console page failed", "page", p.name, "error", err)
		http.Error(w, "the hub failed; its log says why", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	if p.status != 0 {
		w.WriteHeader(p.status)
	}
	_, _ = out.WriteTo(w) // the reader is gone if this fails
}

// may asks the gate whether the caller may read a resource.
func (f *face) may(r *http.Request, caller access.Caller, resource string) error {
	_, err := f.Gate.Decide(r.Context(), access.Request{Caller: caller, Action: access.Read, Resource: resource})
	return err
}
