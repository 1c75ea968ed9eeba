package oneroster

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strconv"

	"github.com/lrshub/lrshub/plugins/contract"
	"github.com/lrshub/lrshub/plugins/sdk"
)

// convert makes a record of what a provider sends: only the fields that are declared, in the types that the standard gives them, whichever way they were written
// ("true" for true, 95 for "95", "" for nothing). A record that is to be deleted is none: it is gone by absence, as where a provider just leaves it out.
func (r resource) convert(element []byte, each func([]byte) error) error {
	var sent map[string]any
	d := json.NewDecoder(bytes.NewReader(element))
	d.UseNumber()
	if err := d.Decode(&sent); err != nil {
		return each(element) // no object: it is turned aside
	}
	if sent["status"] == "tobedeleted" {
		return nil
	}
	record, err := json.Marshal(evened(sent, r.stream().Fields))
	if err != nil {
		return fmt.Errorf("oneroster: %w", err)
	}
	return each(record)
}

func evened(sent map[string]any, fields []sdk.Field) map[string]any {
	object := make(map[string]any, len(fields))
	for _, f := range fields {
		if value := even(sent[f.Name], f); value != nil {
			object[f.Name] = value
		}
	}
	return object
}

// even gives a value in its field's type; one that cannot be is given as it is, for the hub to say so.
func even(value any, f sdk.Field) any {
	switch v := value.(type) {
	case string:
		return fromText(v, f)
	case json.Number:
		if f.Type == contract.String {
			return v.String()
		}
	case map[string]any:
		if f.Type == contract.Object {
			return evened(v, f.Fields)
		}
	case []any:
		if f.Type == contract.List {
			elements := make([]any, 0, len(v))
			for _, element := range v {
				elements = append(elements, even(element, *f.Elem))
			}
			return elements
		}
	}
	return value
}

func fromText(text string, f sdk.Field) any {
	if text == "" {
		return nil
	}
	switch f.Type {
	case contract.Bool:
		if truth, err := strconv.ParseBool(text); err == nil {
			return truth
		}
	case contract.Double:
		if _, err := strconv.ParseFloat(text, 64); err == nil && json.Valid([]byte(text)) {
			return json.Number(text)
		}
	}
	return text
}
