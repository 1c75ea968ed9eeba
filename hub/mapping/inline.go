package mapping

import (
	"bytes"
	"fmt"
	"strings"

	"go.yaml.in/yaml/v3"
)

// Inline takes the mapping document out of a YAML file that holds it under a top-level key, as connection files do. It
// puts blank lines in the place of what stands before, so that the lines in messages are the lines of the file.
func Inline(file []byte, key string) ([]byte, error) {
	var root yaml.Node
	if err := yaml.Unmarshal(file, &root); err != nil {
		return nil, fmt.Errorf("%w: not valid YAML: %w", ErrDocument, err)
	}
	if root.Kind != yaml.DocumentNode || len(root.Content) != 1 || root.Content[0].Kind != yaml.MappingNode {
		return nil, fmt.Errorf("%w: the file has no keys at its top", ErrDocument)
	}
	top := root.Content[0].Content
	for i := 0; i+1 < len(top); i += 2 {
		if top[i].Value != key {
			continue
		}
		body := top[i+1]
		if body.Kind != yaml.MappingNode || body.Style&yaml.FlowStyle != 0 {
			return nil, fmt.Errorf("%w: line %d: write the mapping as a block under the key %s", ErrDocument, top[i].Line, key)
		}
		return block(file, body.Content[0].Line, body.Content[0].Column-1), nil
	}
	return nil, fmt.Errorf("%w: the file has no key %s", ErrDocument, key)
}

// block gives the lines from the given one on that are indented by at least indent, without that indentation.
func block(file []byte, line, indent int) []byte {
	out := []byte(strings.Repeat("\n", line-1))
	for n, text := range bytes.SplitAfter(file, []byte("\n")) {
		if n < line-1 {
			continue
		}
		blank := len(bytes.TrimSpace(text)) == 0
		own := len(text) - len(bytes.TrimLeft(text, " "))
		switch {
		case blank:
			out = append(out, '\n')
		case own < indent && bytes.HasPrefix(bytes.TrimSpace(text), []byte("#")):
			out = append(out, '\n')
		case own < indent:
			return out
		default:
			out = append(out, text[indent:]...)
		}
	}
	return out
}
