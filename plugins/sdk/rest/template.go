package rest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/url"
	"strings"

	"github.com/lrshub/lrshub/plugins/sdk"
)

// properties gives the single values of a configuration as text.
func properties(config []byte) map[string]string {
	all := map[string]any{}
	d := json.NewDecoder(bytes.NewReader(config))
	d.UseNumber()
	_ = d.Decode(&all) // what is missing is told by who needs it
	texts := make(map[string]string, len(all))
	for name, value := range all {
		switch v := value.(type) {
		case string:
			texts[name] = v
		case bool, json.Number:
			texts[name] = fmt.Sprint(v)
		}
	}
	return texts
}

// expand puts properties in the place of their names in braces, escaped, unless the text begins with one of them and whole says that it is an address.
func expand(text string, properties map[string]string, whole bool) (string, error) {
	var b strings.Builder
	for rest := text; ; {
		before, after, found := strings.Cut(rest, "{")
		b.WriteString(before)
		name, behind, closed := strings.Cut(after, "}")
		if !found || !closed {
			return b.String(), nil
		}
		value := properties[name]
		switch {
		case value == "":
			return "", sdk.Errorf(sdk.ClassConfig, "%s is missing in the configuration", name)
		case whole && b.Len() == 0:
			b.WriteString(strings.TrimRight(value, "/"))
		default:
			b.WriteString(url.PathEscape(value))
		}
		rest = behind
	}
}

// expandQuery does the same with the values of a query; one whose property is missing is left out with its name.
func expandQuery(text string, properties map[string]string) (url.Values, error) {
	query, err := url.ParseQuery(text)
	if err != nil {
		return nil, sdk.Errorf(sdk.ClassSourceBug, "the connector's path has a query that is none")
	}
	all := url.Values{}
	for name, values := range query {
		for _, value := range values {
			if property, ok := strings.CutPrefix(value, "{"); ok && strings.HasSuffix(property, "}") {
				if value = properties[strings.TrimSuffix(property, "}")]; value == "" {
					continue
				}
			}
			all.Add(name, value)
		}
	}
	return all, nil
}
