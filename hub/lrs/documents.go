package lrs

import (
	"context"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/lrshub/lrshub/hub/access"
	"github.com/lrshub/lrshub/hub/disclose"
	"github.com/lrshub/lrshub/hub/ingest"
	"github.com/lrshub/lrshub/hub/records"
	"github.com/lrshub/lrshub/hub/xapi"
)

// DocumentWriter keeps documents.
type DocumentWriter interface {
	PutDocument(ctx context.Context, caller access.Caller, name records.DocumentName, d ingest.Document, p ingest.Precondition) error
	MergeDocument(ctx context.Context, caller access.Caller, name records.DocumentName, d ingest.Document, p ingest.Precondition) error
	DeleteDocument(ctx context.Context, caller access.Caller, name records.DocumentName, p ingest.Precondition) error
	DeleteStates(ctx context.Context, caller access.Caller, name records.DocumentName) error
}

// documentMethod is Writer.PutDocument or Writer.MergeDocument.
type documentMethod func(w Writer, ctx context.Context, caller access.Caller, name records.DocumentName, d ingest.Document, p ingest.Precondition) error

// DocumentReader shows documents.
type DocumentReader interface {
	Document(ctx context.Context, caller access.Caller, name records.DocumentName) (disclose.Document, error)
	DocumentIDs(ctx context.Context, caller access.Caller, name records.DocumentName, since time.Time) (ids []string, updated time.Time, err error)
}

// maxDocument bounds a document in bytes.
const maxDocument = 10 << 20

// documentResource is one of the three resources that keep documents (Communication 2.2).
type documentResource struct {
	kind records.DocumentKind
	path string
	id   string   // the parameter that names one document
	with []string // the parameters that must be there, with each request
}

var documentResources = []documentResource{
	{records.State, "/xapi/activities/state", "stateId", []string{"activityId", "agent"}},
	{records.AgentProfile, "/xapi/agents/profile", "profileId", []string{"agent"}},
	{records.ActivityProfile, "/xapi/activities/profile", "profileId", []string{"activityId"}},
}

// documents mounts the resources.
func (f *face) documents(mux *http.ServeMux) {
	for _, d := range documentResources {
		mux.HandleFunc("GET "+d.path, f.with(d.get(f))) // HEAD too
		mux.HandleFunc("PUT "+d.path, f.with(d.store(f, (Writer).PutDocument)))
		mux.HandleFunc("POST "+d.path, f.with(d.store(f, (Writer).MergeDocument)))
		mux.HandleFunc("DELETE "+d.path, f.with(d.delete(f)))
		mux.HandleFunc(d.path, f.with(notAllowed("GET, HEAD, PUT, POST, DELETE")))
	}
}

// name reads the parameters. several: the one that names a document may be left out.
func (d documentResource) name(r request, several bool, more ...string) (name records.DocumentName, query url.Values, err error) {
	name.Kind = d.kind
	if query, err = r.parameters(); err != nil {
		return name, nil, err
	}
	allowed := append(append([]string{d.id}, d.with...), more...)
	if d.kind == records.State {
		allowed = append(allowed, "registration")
	}
	if err := onlyKnown(query, allowed...); err != nil {
		return name, nil, err
	}
	for _, parameter := range d.with {
		if !query.Has(parameter) {
			return name, nil, bad("%s is missing", parameter)
		}
	}
	if name.ID = query.Get(d.id); name.ID == "" && (!several || query.Has(d.id)) {
		return name, nil, bad("%s is missing", d.id)
	}
	if name.Activity = query.Get("activityId"); query.Has("activityId") && !xapi.IsIRI(name.Activity) {
		return name, nil, bad("activityId must be an IRI")
	}
	if query.Has("registration") {
		var ok bool
		if name.Registration, ok = xapi.ParseUUID(query.Get("registration")); !ok || name.Registration == uuid.Nil {
			return name, nil, bad("registration must be a UUID")
		}
	}
	if query.Has("agent") {
		agent, err := xapi.ParseAgent([]byte(query.Get("agent")), r.version)
		if err != nil {
			return name, nil, err
		}
		name.Agent = agent.Identifier
	}
	return name, query, nil
}

// get answers with a document, or with the ids of those that there are.
func (d documentResource) get(f *face) action {
	return func(w http.ResponseWriter, r request) error {
		name, query, err := d.name(r, true, "since")
		if err != nil {
			return err
		}
		var since time.Time
		if query.Has("since") {
			if since, err = xapi.ParseTime(query.Get("since"), r.version); err != nil {
				return bad("since must be a timestamp (RFC 3339)")
			}
			since = onGrid(since)
		}
		if name.ID == "" {
			ids, updated, err := f.reader.DocumentIDs(r.Context(), r.caller, name, since)
			if err != nil {
				return err
			}
			if len(ids) > 0 {
				w.Header().Set("Last-Modified", updated.Format(http.TimeFormat))
			}
			writeJSON(w, http.StatusOK, ids)
			return nil
		}
		doc, err := f.reader.Document(r.Context(), r.caller, name)
		if err != nil {
			return err
		}
		h, etag := w.Header(), ingest.ETag(doc.Content)
		p := d.precondition(r) // RFC 9110 section 13.2.2
		if p.Match != nil && !matches(p.Match, etag) {
			return ingest.ErrPrecondition
		}
		h.Set("ETag", etag)
		if p.NoneMatch != nil && matches(p.NoneMatch, etag) {
			w.WriteHeader(http.StatusNotModified)
			return nil
		}
		h.Set("Last-Modified", doc.Updated.Format(http.TimeFormat))
		h.Set("Content-Type", doc.ContentType)
		h.Set("Content-Length", strconv.Itoa(len(doc.Content)))
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Content-Security-Policy", "sandbox") // a browser that opens it runs nothing of it
		_, _ = w.Write(doc.Content)
		return nil
	}
}

// store stores a document with one of Writer's methods.
func (d documentResource) store(f *face, method documentMethod) action {
	return func(w http.ResponseWriter, r request) error {
		name, _, err := d.name(r, false)
		if err != nil {
			return err
		}
		if err := f.allowed(r, access.Write, d.kind.String()); err != nil {
			return err
		}
		doc := ingest.Document{ContentType: r.Header.Get("Content-Type")}
		if doc.ContentType == "" {
			doc.ContentType = "application/octet-stream" // RFC 9110 section 8.3
		}
		if doc.Content, err = f.readBody(w, r, maxDocument, documentWeight); err != nil {
			return err
		}
		if err := method(f.writer, r.Context(), r.caller, name, doc, d.precondition(r)); err != nil {
			return err
		}
		w.WriteHeader(http.StatusNoContent)
		return nil
	}
}

// delete deletes a document, or all states of an agent in an activity.
func (d documentResource) delete(f *face) action {
	return func(w http.ResponseWriter, r request) error {
		name, _, err := d.name(r, d.kind == records.State)
		if err != nil {
			return err
		}
		if err := f.allowed(r, access.Write, d.kind.String()); err != nil {
			return err
		}
		if name.ID == "" {
			if p := d.precondition(r); p.Match != nil || p.NoneMatch != nil {
				return bad("If-Match and If-None-Match are about one document: name it by %s, or delete them all without a condition", d.id)
			}
			err = f.writer.DeleteStates(r.Context(), r.caller, name)
		} else {
			err = f.writer.DeleteDocument(r.Context(), r.caller, name, d.precondition(r))
		}
		if err != nil {
			return err
		}
		w.WriteHeader(http.StatusNoContent)
		return nil
	}
}

// precondition reads If-Match and If-None-Match. Who puts a profile must say what is there; in 2.0 only who replaces one, or a state (Communication 3.1, IEEE 4.1.4).
func (d documentResource) precondition(r request) ingest.Precondition {
	put, profile := r.Method == http.MethodPut, d.kind != records.State
	return ingest.Precondition{
		Match: tags(r.Header.Values("If-Match")), NoneMatch: tags(r.Header.Values("If-None-Match")),
		Required: put && (profile || r.version == xapi.V2), Always: put && profile && r.version == xapi.V1,
	}
}

// tags lists the entity tags of a header; nil: there is none. One without quotes, or weak, is taken as meant: clients send back what they find.
func tags(values []string) []string {
	if len(values) == 0 {
		return nil
	}
	list := []string{}
	for _, tag := range strings.Split(strings.Join(values, ","), ",") {
		tag = strings.TrimPrefix(strings.TrimSpace(tag), "W/")
		if tag != "*" && !strings.HasPrefix(tag, `"`) {
			tag = `"` + tag + `"`
		}
		list = append(list, tag)
	}
	return list
}

// matches tells whether a list of entity tags has that of the document that is there.
func matches(tags []string, etag string) bool {
	return slices.Contains(tags, "*") || slices.Contains(tags, etag)
}
