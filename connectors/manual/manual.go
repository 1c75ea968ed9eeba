// Package manual is the connector for records that no system holds: on-the-job training, attendance, a supervisor's assessment. People enter them one by
// one or as CSV, through the hub (lrshub record, the management API, the console), each with who vouches for it. There is no source to read; what was
// entered is a stream that may be corrected and taken back, like any other's.
//
// Start at Receive. record.go says what a record is and what is wrong with one, sheet.go reads CSV.
package manual

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"

	"github.com/lrshub/lrshub/plugins/contract"
	"github.com/lrshub/lrshub/plugins/sdk"
)

// Connector takes what people enter.
type Connector struct{}

// New makes the connector.
func New() sdk.Connector { return Connector{} }

// Describe names the one stream.
func (Connector) Describe(config []byte) (sdk.Description, error) {
	d := sdk.Description{
		Name: "manual", Version: "1.0.0", Summary: "Records that no system holds: entered by people, with who vouches for them",
		ConfigSchema: `{"type":"object","additionalProperties":false,"properties":{}}`,
		Streams:      []sdk.Stream{stream},
	}
	if config == nil {
		return d, nil
	}
	var none map[string]json.RawMessage
	if err := json.Unmarshal(config, &none); err != nil || len(none) > 0 {
		return d, sdk.Errorf(sdk.ClassConfig, "this connector has nothing to configure: leave config empty")
	}
	return d, nil
}

// Check has nothing to reach.
func (Connector) Check(context.Context, *sdk.Session) error { return nil }

// Read brings nothing: what there is was entered.
func (Connector) Read(context.Context, *sdk.Session, sdk.Request, *sdk.Output) error { return nil }

// Receive takes records that somebody entered: text/csv, or JSON as {"records": [...]}. What is wrong with one is a Bad; the hub then stores none. Only
// what people enter through the hub gets here (contract.MethodEnter): whoever knows a connection's hook has not signed in.
func (Connector) Receive(_ context.Context, _ *sdk.Session, p sdk.Push, out *sdk.Output) (sdk.Reply, error) {
	if p.Method != contract.MethodEnter {
		return sdk.Reply{}, sdk.Errorf(sdk.ClassAuth, "records are entered through the hub: lrshub record add|import, or its management API")
	}
	var list []entry
	var err error
	if p.Header.Get("Content-Type") == "text/csv" {
		list, err = readSheet(p.Body)
	} else {
		list, err = readList(p.Body)
	}
	if err != nil {
		return sdk.Reply{}, err
	}
	seen := map[string]string{} // position by id
	for _, e := range list {
		if e.wrong == nil {
			e.wrong = e.record.complete(p.Received)
		}
		if before, twice := seen[e.record.ID]; twice && e.wrong == nil {
			e.wrong = fmt.Errorf("it is the same record as %s: give one of them an id of its own, or leave it out", before)
		}
		if err := e.emit(out); err != nil {
			return sdk.Reply{}, err
		}
		seen[e.record.ID] = e.position
	}
	return sdk.Reply{Status: 200}, nil
}

// entry is a record as it was given.
type entry struct {
	record   record
	position string
	wrong    error // names fields, and holds no value
}

func (e *entry) emit(out *sdk.Output) error {
	if e.wrong != nil {
		return out.Bad("invalid_entry", e.position, e.wrong.Error(), nil)
	}
	if e.record.Deleted {
		return out.Delete([]any{e.record.ID})
	}
	text, err := json.Marshal(e.record)
	if err != nil {
		return sdk.Errorf(sdk.ClassData, "%s: a value cannot be written as JSON", e.position)
	}
	return out.Record(text, e.position)
}

// maxRecords bounds what is entered at once.
const maxRecords = 10_000

// readList reads {"records": [...]}.
func readList(body []byte) ([]entry, error) {
	var in struct {
		Records []json.RawMessage `json:"records"`
	}
	d := json.NewDecoder(bytes.NewReader(body))
	d.DisallowUnknownFields()
	if err := d.Decode(&in); err != nil {
		return nil, sdk.Errorf(sdk.ClassData, `records must come as {"records": [...]}`)
	}
	if len(in.Records) > maxRecords {
		return nil, sdk.Errorf(sdk.ClassData, "%d records; enter at most %d at a time", len(in.Records), maxRecords)
	}
	list := make([]entry, len(in.Records))
	for i, text := range in.Records {
		list[i].position = fmt.Sprintf("record %d", i+1)
		list[i].record, list[i].wrong = parseRecord(text)
	}
	return list, nil
}
