package connection

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/santhosh-tekuri/jsonschema/v6/kind"
)

// checkConfig holds a configuration against a connector's JSON Schema. Its errors name key, line and rule, never what was
// given: any value may be a secret.
func checkConfig(spec Spec, schema string) []error {
	var config map[string]any
	if err := decodeNumbers(spec.Config, &config); err != nil || config == nil {
		return []error{spec.wrong("config", "must be an object: keys with values")}
	}
	if schema == "" {
		return nil
	}
	compiled, err := compileSchema(schema)
	if err != nil {
		return []error{spec.wrong("connector", "%w", err)}
	}
	failure := compiled.Validate(config)
	if failure == nil {
		return nil
	}
	invalid, ok := failure.(*jsonschema.ValidationError)
	if !ok {
		return []error{spec.wrong("config", "cannot be checked against the connector's schema")}
	}
	return explain(spec, invalid)
}

// compileSchema compiles a schema that refers to nothing outside itself.
func compileSchema(schema string) (*jsonschema.Schema, error) {
	document, err := jsonschema.UnmarshalJSON(strings.NewReader(schema))
	if err != nil {
		return nil, fmt.Errorf("its configuration schema is not JSON: %w", err)
	}
	c := jsonschema.NewCompiler()
	c.UseLoader(jsonschema.SchemeURLLoader{}) // no files, no network
	const name = "connector:config"
	if err := c.AddResource(name, document); err != nil {
		return nil, fmt.Errorf("its configuration schema is not usable: %w", err)
	}
	compiled, err := c.Compile(name)
	if err != nil {
		return nil, fmt.Errorf("its configuration schema is not usable: %w", err)
	}
	return compiled, nil
}

// explain flattens a failure to its causes. Of alternatives (anyOf, oneOf) it tells the one that was meant, if that can be seen.
func explain(spec Spec, e *jsonschema.ValidationError) []error {
	key := "config"
	for _, part := range e.InstanceLocation {
		if strings.Trim(part, "0123456789") == "" {
			key += "[" + part + "]"
		} else {
			key += "." + part
		}
	}
	problem := ""
	switch k := e.ErrorKind.(type) {
	case *kind.AdditionalProperties:
		return unknownKeys(spec, key, k.Properties)
	case *kind.Required:
		problem = "lacks " + strings.Join(k.Missing, ", ")
	case *kind.Type:
		problem = fmt.Sprintf("must be %s, not %s", strings.Join(k.Want, " or "), k.Got)
	case *kind.Enum:
		problem = "must be one of " + values(k.Want)
	case *kind.Const:
		problem = "must be " + values([]any{k.Want})
	case *kind.Pattern:
		problem = "does not match the pattern " + k.Want
	case *kind.Format:
		problem = "must be a valid " + k.Want
	case *kind.MinLength:
		problem = fmt.Sprintf("is too short: at least %d characters", k.Want)
	case *kind.MaxLength:
		problem = fmt.Sprintf("is too long: at most %d characters", k.Want)
	case *kind.MinItems:
		problem = fmt.Sprintf("has too few elements: at least %d", k.Want)
	case *kind.MaxItems:
		problem = fmt.Sprintf("has too many elements: at most %d", k.Want)
	case *kind.MinProperties:
		problem = fmt.Sprintf("has too few keys: at least %d", k.Want)
	case *kind.MaxProperties:
		problem = fmt.Sprintf("has too many keys: at most %d", k.Want)
	case *kind.Minimum:
		problem = "must be at least " + k.Want.RatString()
	case *kind.Maximum:
		problem = "must be at most " + k.Want.RatString()
	case *kind.UniqueItems:
		problem = fmt.Sprintf("has the same element twice, at %d and %d", k.Duplicates[0], k.Duplicates[1])
	case *kind.AnyOf, *kind.OneOf:
		if meant := meantBranch(e); meant != nil {
			return explain(spec, meant)
		}
		problem = "fits none of the forms (or more than one) that the connector knows; see: lrshub connector describe " + spec.Connector
	default:
		if len(e.Causes) > 0 {
			var list []error
			for _, cause := range e.Causes {
				list = append(list, explain(spec, cause)...)
			}
			return list
		}
		problem = fmt.Sprintf("breaks the rule %q of the connector's schema; see: lrshub connector describe %s", strings.Join(e.ErrorKind.KeywordPath(), "/"), spec.Connector)
	}
	return []error{spec.wrong(key, "%s", problem)}
}

// meantBranch gives the only alternative that has the given value's type.
func meantBranch(e *jsonschema.ValidationError) *jsonschema.ValidationError {
	var meant *jsonschema.ValidationError
	for _, branch := range e.Causes {
		if wrongType(branch, len(e.InstanceLocation)) {
			continue
		}
		if meant != nil {
			return nil
		}
		meant = branch
	}
	return meant
}

// wrongType says whether a value fails at depth, not below it, for its type or because it is none of a list.
func wrongType(e *jsonschema.ValidationError, depth int) bool {
	if len(e.InstanceLocation) > depth {
		return false
	}
	switch e.ErrorKind.(type) {
	case *kind.Type, *kind.Enum:
		return true
	}
	for _, cause := range e.Causes {
		if wrongType(cause, depth) {
			return true
		}
	}
	return false
}

func unknownKeys(spec Spec, key string, names []string) []error {
	list := make([]error, len(names))
	for i, name := range names {
		list[i] = spec.wrong(join(key, name), "the connector %s knows no such key; see: lrshub connector describe %s", spec.Connector, spec.Connector)
	}
	return list
}

// values writes values that a schema names.
func values(list []any) string {
	texts := make([]string, len(list))
	for i, v := range list {
		text, err := json.Marshal(v)
		if err != nil {
			text = []byte("?")
		}
		texts[i] = string(text)
	}
	return strings.Join(texts, ", ")
}

// decodeNumbers decodes JSON and keeps numbers as they are written.
func decodeNumbers(document []byte, into any) error {
	d := json.NewDecoder(bytes.NewReader(document))
	d.UseNumber()
	return d.Decode(into)
}
