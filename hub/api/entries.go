package api

import (
	"context"
	"encoding/json"
	"net/http"

	"github.com/lrshub/lrshub/hub/access"
	"github.com/lrshub/lrshub/hub/entry"
)

type newEntries struct {
	ConnectionName
	Body struct {
		Records []json.RawMessage `json:"records,omitempty" doc:"fields as the connector manual describes them"`
		CSV     string            `json:"csv,omitempty" doc:"or a sheet: CSV with a header"`
		Check   bool              `json:"check,omitempty" doc:"store nothing, only say what is wrong"`
	}
}

func (f *face) entries() {
	register(f, operation{http.MethodPost, "/connections/{name}/records", "Enter records that no system holds", need{access.Write, access.Entries}, "records", 0},
		func(ctx context.Context, caller access.Caller, in *newEntries) (*body[entry.Result], error) {
			b := entry.Batch{CSV: in.Body.CSV != "", Text: []byte(in.Body.CSV), Check: in.Body.Check}
			if b.CSV == (len(in.Body.Records) > 0) {
				return nil, problem(http.StatusUnprocessableEntity, "send records or csv, one of the two")
			}
			if !b.CSV {
				text, err := json.Marshal(map[string]any{"records": in.Body.Records})
				if err != nil {
					return nil, err
				}
				b.Text = text
			}
			r, err := f.Desk.Enter(ctx, caller, in.Name, b)
			return &body[entry.Result]{r}, err
		})
}
