package api

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/google/uuid"

	"github.com/lrshub/lrshub/hub/access"
	"github.com/lrshub/lrshub/hub/disclose"
)

type exportQuery struct {
	Verb         string    `query:"verb" doc:"IRI"`
	Activity     string    `query:"activity" doc:"IRI of the object"`
	Since        time.Time `query:"since" doc:"stored after"`
	Until        time.Time `query:"until" doc:"stored at or before"`
	Limit        int       `query:"limit" minimum:"0" doc:"at most so many; 0: all"`
	WithVoidings bool      `query:"with-voidings" doc:"voiding statements too; without them an export is what now holds"`
}

// exportTrailer tells, after the last statement, that the export is whole.
const exportTrailer = "Lrshub-Statements"

type statementQuery struct {
	ID     uuid.UUID `path:"id"`
	Voided bool      `query:"voided" doc:"one that was voided"`
}

func (f *face) statements() {
	register(f, operation{http.MethodGet, "/statements/{id}", "Show one statement, as the credential may see it", need{access.Read, access.Statements}, "statements", 0},
		func(ctx context.Context, caller access.Caller, in *statementQuery) (*body[json.RawMessage], error) {
			st, err := f.Disclose.Statement(ctx, caller, in.ID, in.Voided)
			return &body[json.RawMessage]{st.JSON}, err
		})
	huma.Register(f.api, huma.Operation{
		OperationID: "statements-export", Method: http.MethodGet, Path: "/api/v1/statements/export", Tags: []string{"statements"},
		Summary: "Stream statements as NDJSON, oldest first; the trailer Lrshub-Statements counts them and is absent if the export broke off",
	}, func(ctx context.Context, in *exportQuery) (*huma.StreamResponse, error) {
		caller := ctx.Value(callerKey{}).(access.Caller)
		q := disclose.Query{Verb: in.Verb, Activity: in.Activity, Since: in.Since, Until: in.Until, Limit: in.Limit, EffectiveOnly: !in.WithVoidings}
		return &huma.StreamResponse{Body: func(out huma.Context) {
			f.stream(out, exportTrailer, func(emit func([]byte) error) (int64, error) { return f.Disclose.Export(out.Context(), caller, q, emit) })
		}}, nil
	})
}

// stream writes lines. Until the first one goes out a failure is a problem; after it, the connection breaks off, so that nobody takes a part for the whole. The trailer
// tells the count at the end.
func (f *face) stream(out huma.Context, trailer string, run func(emit func(line []byte) error) (int64, error)) {
	w := bufio.NewWriterSize(out.BodyWriter(), 64<<10)
	begun := false
	begin := func() {
		if !begun {
			begun = true
			out.SetHeader("Content-Type", "application/x-ndjson")
			out.SetHeader("Trailer", trailer)
			out.SetStatus(http.StatusOK)
		}
	}
	count, err := run(func(line []byte) error {
		begin()
		return writeLine(w, line)
	})
	if err == nil {
		begin()
		err = w.Flush()
	}
	switch {
	case err != nil && !begun:
		problemOf(err).write(out)
	case err != nil:
		panic(http.ErrAbortHandler)
	default:
		out.SetHeader(trailer, itoa(count))
	}
}

// writeLine writes a statement as one line of NDJSON: as it was sent, less the line ends that its writer put between its parts.
func writeLine(w *bufio.Writer, statement []byte) error {
	line, err := oneLine(statement)
	if err != nil {
		return err
	}
	if _, err := w.Write(line); err != nil {
		return err
	}
	return w.WriteByte('\n')
}

func oneLine(statement []byte) ([]byte, error) {
	if !bytes.ContainsAny(statement, "\r\n") {
		return statement, nil
	}
	var one bytes.Buffer
	if err := json.Compact(&one, statement); err != nil {
		return nil, fmt.Errorf("export: a statement is no JSON: %w", err)
	}
	return one.Bytes(), nil
}
