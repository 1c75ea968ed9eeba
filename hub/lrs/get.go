package lrs

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/lrshub/lrshub/hub/disclose"
	"github.com/lrshub/lrshub/hub/xapi"
)

// filters are the parameters of a query for several statements.
var filters = []string{
	"agent", "verb", "activity", "registration", "related_activities", "related_agents", "since", "until", "limit", "ascending",
	"format", "attachments",
}

// getStatements answers with one statement or with a page of them (Communication 2.1.3).
func (f *face) getStatements(w http.ResponseWriter, r request) error {
	err := f.find(w, r)
	if err == nil || w.Header().Get(consistentThrough) != "" {
		return err
	}
	through, failed := f.reader.ConsistentThrough(r.Context(), r.caller)
	if failed != nil {
		return failed
	}
	w.Header().Set(consistentThrough, xapi.FormatTime(through)) // whatever the answer is (Communication 2.1.3)
	return err
}

const consistentThrough = "X-Experience-API-Consistent-Through"

// find answers, or gives the error that stands in the answer's place.
func (f *face) find(w http.ResponseWriter, r request) error {
	query, err := r.parameters()
	switch {
	case err != nil:
		return err
	case query.Has("more"):
		return f.getMore(w, r, query)
	case query.Has("statementId") || query.Has("voidedStatementId"):
		return f.getStatement(w, r, query)
	}
	if err := onlyKnown(query, filters...); err != nil {
		return err
	}
	q, err := readQuery(query, r.version)
	if err != nil {
		return err
	}
	form, err := readForm(query, r.Header)
	if err != nil {
		return err
	}
	q.Attachments = form.attachments
	page, err := f.reader.Page(r.Context(), r.caller, q)
	if err != nil {
		return err
	}
	return f.writePage(w, r, page, form)
}

// getMore answers with the next page, in the form in which the one before was asked for.
func (f *face) getMore(w http.ResponseWriter, r request, query url.Values) error {
	if err := onlyKnown(query, "more", "format", "attachments"); err != nil {
		return err
	}
	form, err := readForm(query, r.Header)
	if err != nil {
		return err
	}
	page, err := f.reader.More(r.Context(), r.caller, query.Get("more"))
	if err != nil {
		return err
	}
	return f.writePage(w, r, page, form)
}

// getStatement answers with one statement. No filter may stand beside its id.
func (f *face) getStatement(w http.ResponseWriter, r request, query url.Values) error {
	name := "statementId"
	if query.Has("voidedStatementId") {
		name = "voidedStatementId"
	}
	if err := onlyKnown(query, name, "format", "attachments"); err != nil {
		return err
	}
	form, err := readForm(query, r.Header)
	if err != nil {
		return err
	}
	id, ok := xapi.ParseUUID(query.Get(name))
	if !ok {
		return bad("%s must be a UUID", name)
	}
	read := f.reader.Statement
	if form.attachments {
		read = f.reader.StatementWithAttachments
	}
	st, err := read(r.Context(), r.caller, id, name == "voidedStatementId")
	if !st.ConsistentThrough.IsZero() { // a statement that is not there is an answer too
		w.Header().Set(consistentThrough, xapi.FormatTime(st.ConsistentThrough))
	}
	if err != nil {
		return err
	}
	texts, err := form.apply(r.Context(), [][]byte{st.JSON}, f.catalogue(r))
	if err != nil {
		return err
	}
	w.Header().Set("Last-Modified", st.Stored.UTC().Format(http.TimeFormat))
	return writeStatements(w, r, texts[0], st.Attachments)
}

// catalogue reads definitions for a reader.
func (f *face) catalogue(r request) catalogue {
	return func(ctx context.Context, iris []string) (map[string]json.RawMessage, error) {
		return f.reader.Definitions(ctx, r.caller, iris)
	}
}

// onlyKnown refuses those that the request may not have, and those given twice.
func onlyKnown(query url.Values, allowed ...string) error {
	for name, values := range query {
		if !slices.Contains(allowed, name) {
			return bad("a parameter of this request is unknown or may not stand beside the others; allowed: %s", strings.Join(allowed, ", "))
		}
		if len(values) > 1 {
			return bad("parameter %s is given twice", name)
		}
	}
	return nil
}

func readQuery(query url.Values, version xapi.Version) (q disclose.Query, err error) {
	if query.Has("agent") {
		agent, err := xapi.ParseAgent([]byte(query.Get("agent")), version)
		if err != nil {
			return q, err
		}
		q.Agent = &agent
	}
	for name, target := range map[string]*string{"verb": &q.Verb, "activity": &q.Activity} {
		if *target = query.Get(name); query.Has(name) && !xapi.IsIRI(*target) {
			return q, bad("%s must be an IRI", name)
		}
	}
	if query.Has("registration") {
		var ok bool
		if q.Registration, ok = xapi.ParseUUID(query.Get("registration")); !ok {
			return q, bad("registration must be a UUID")
		}
	}
	for name, target := range map[string]*bool{"related_agents": &q.RelatedAgents, "related_activities": &q.RelatedActivities, "ascending": &q.Ascending} {
		if *target, err = boolean(query, name); err != nil {
			return q, err
		}
	}
	for name, target := range map[string]*time.Time{"since": &q.Since, "until": &q.Until} {
		if !query.Has(name) {
			continue
		}
		if *target, err = xapi.ParseTime(query.Get(name), version); err != nil {
			return q, bad("%s must be a timestamp (RFC 3339)", name)
		}
		if *target = onGrid(*target); target.IsZero() {
			*target = target.Add(1) // the first moment of the year 1 is a bound too, not none
		}
	}
	if query.Has("limit") {
		if q.Limit, err = strconv.Atoi(query.Get("limit")); err != nil || q.Limit < 0 {
			return q, bad("limit must be a whole number from 0")
		}
	}
	return q, nil
}

// onGrid cuts a bound down to the microseconds that the store's times have: stored is after, or not after, either of the two alike. Postgres would round.
func onGrid(bound time.Time) time.Time { return bound.Truncate(time.Microsecond) }

func boolean(query url.Values, name string) (bool, error) {
	switch query.Get(name) {
	case "true":
		return true, nil
	case "false":
		return false, nil
	case "":
		if !query.Has(name) {
			return false, nil
		}
	}
	return false, bad("%s must be true or false", name)
}

// writePage writes a StatementResult (Data 2.5).
func (f *face) writePage(w http.ResponseWriter, r request, page disclose.Page, form form) error {
	w.Header().Set(consistentThrough, xapi.FormatTime(page.ConsistentThrough))
	var body bytes.Buffer
	body.WriteString(`{"statements":[`)
	texts, err := form.apply(r.Context(), page.Statements, f.catalogue(r))
	if err != nil {
		return err
	}
	for i, text := range texts {
		if i > 0 {
			body.WriteByte(',')
		}
		body.Write(text)
	}
	body.WriteString(`],"more":"`)
	if page.More != "" {
		body.WriteString(Path + "statements?more=" + page.More)
		body.WriteString(form.query())
	}
	body.WriteString("\"}\n")
	return writeStatements(w, r, body.Bytes(), page.Attachments)
}
