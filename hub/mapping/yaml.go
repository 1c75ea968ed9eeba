package mapping

import (
	"fmt"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// reading collects what is wrong with a document while it is read, so that an engineer sees all of it at once.
type reading struct {
	errs []*Error
}

func (r *reading) fail(line int, field, problem, remedy string) {
	r.errs = append(r.errs, &Error{Line: line, Field: field, Problem: problem, Remedy: remedy})
}

// entry is one key of a YAML mapping with its value, in the document's order.
type entry struct {
	key   string
	line  int // of the key
	value *yaml.Node
}

// entries gives the keys of a mapping. It refuses what the language does without: anchors, aliases, merge keys, keys that
// are not text, and keys written twice.
func (r *reading) entries(node *yaml.Node, where string) []entry {
	if node.Kind != yaml.MappingNode {
		r.fail(node.Line, where, "here stands "+describe(node), "write keys and values")
		return nil
	}
	var all []entry
	seen := make(map[string]bool, len(node.Content)/2)
	for i := 0; i+1 < len(node.Content); i += 2 {
		key, value := node.Content[i], node.Content[i+1]
		if key.Kind != yaml.ScalarNode || key.Tag == "!!merge" {
			r.fail(key.Line, where, "a key that is not plain text", "use a fragment where parts repeat")
			continue
		}
		if seen[key.Value] {
			r.fail(key.Line, where, fmt.Sprintf("the key %q is written twice", key.Value), "remove one")
			continue
		}
		seen[key.Value] = true
		all = append(all, entry{key: key.Value, line: key.Line, value: value})
	}
	return all
}

// known gives the entries of a mapping whose keys must be among those allowed, by key.
func (r *reading) known(node *yaml.Node, where string, allowed ...string) map[string]*yaml.Node {
	found := map[string]*yaml.Node{}
	for _, e := range r.entries(node, where) {
		if !slices.Contains(allowed, e.key) {
			r.fail(e.line, where, fmt.Sprintf("unknown key %q", e.key), suggest(e.key, allowed))
			continue
		}
		found[e.key] = e.value
	}
	return found
}

func (r *reading) text(node *yaml.Node, where string) string {
	if node == nil {
		return ""
	}
	if node.Kind != yaml.ScalarNode || node.Tag == "!!null" {
		r.fail(node.Line, where, "here stands "+describe(node), "write a text")
		return ""
	}
	return node.Value
}

// texts reads a list of texts; one text alone counts as a list of one.
func (r *reading) texts(node *yaml.Node, where string) []string {
	if node == nil {
		return nil
	}
	if node.Kind == yaml.ScalarNode {
		return []string{r.text(node, where)}
	}
	var all []string
	for _, item := range r.items(node, where) {
		all = append(all, r.text(item, where))
	}
	return all
}

func (r *reading) items(node *yaml.Node, where string) []*yaml.Node {
	if node == nil {
		return nil
	}
	if node.Kind != yaml.SequenceNode {
		r.fail(node.Line, where, "here stands "+describe(node), "write a list: one line for each, beginning with a hyphen")
		return nil
	}
	return node.Content
}

func describe(node *yaml.Node) string {
	switch node.Kind {
	case yaml.MappingNode:
		return "an object"
	case yaml.SequenceNode:
		return "a list"
	case yaml.AliasNode:
		return "an alias"
	}
	if node.Tag == "!!null" {
		return "nothing"
	}
	return "a single value"
}

// suggest names the nearest of the allowed names, or all of them if none is near.
func suggest(name string, allowed []string) string {
	if near := nearest(name, allowed); near != "" {
		return fmt.Sprintf("did you mean %q?", near)
	}
	sorted := slices.DeleteFunc(slices.Clone(allowed), func(name string) bool { return strings.HasPrefix(name, "_") }) // CEL's own
	slices.Sort(sorted)
	if len(sorted) == 0 {
		return "none is allowed here"
	}
	if len(sorted) > 24 {
		return fmt.Sprintf("known are %s and %d more", strings.Join(sorted[:24], ", "), len(sorted)-24)
	}
	return "known are " + strings.Join(sorted, ", ")
}

// nearest gives the name with the smallest edit distance, if that is at most a third of the length.
func nearest(name string, names []string) string {
	best, bestDistance := "", max(1, len(name)/3)+1
	for _, candidate := range names {
		if d := distance(strings.ToLower(name), strings.ToLower(candidate)); d < bestDistance {
			best, bestDistance = candidate, d
		}
	}
	return best
}

// distance counts the bytes to insert, delete, replace or exchange with their neighbour (optimal string alignment).
func distance(a, b string) int {
	before, last, row := make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range last {
		last[j] = j
	}
	for i := 1; i <= len(a); i++ {
		row[0] = i
		for j := 1; j <= len(b); j++ {
			cost := last[j-1]
			if a[i-1] != b[j-1] {
				cost++
			}
			row[j] = min(cost, last[j]+1, row[j-1]+1)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], before[j-2]+1)
			}
		}
		before, last, row = last, row, before
	}
	return last[len(b)]
}

// parseYAML reads one YAML document and refuses anchors and aliases anywhere in it.
func (r *reading) parseYAML(document []byte) *yaml.Node {
	if len(document) > maxDocument {
		r.fail(0, "", fmt.Sprintf("the document has %d bytes", len(document)), fmt.Sprintf("at most %d are read", maxDocument))
		return nil
	}
	var root yaml.Node
	if err := yaml.Unmarshal(document, &root); err != nil {
		line := 0
		_, _ = fmt.Sscanf(strings.TrimPrefix(err.Error(), "yaml: "), "line %d:", &line)
		r.fail(line, "", "not valid YAML: "+strings.TrimPrefix(err.Error(), "yaml: "),
			"mind that a text with `: ` or ` #` in it, or that begins with {, [ or \", needs quotes or a block (|)")
		return nil
	}
	if root.Kind != yaml.DocumentNode || len(root.Content) != 1 {
		r.fail(0, "", "the document is empty", "see the package's documentation for the shape of a mapping")
		return nil
	}
	if line := aliased(root.Content[0]); line > 0 {
		r.fail(line, "", "anchors and aliases are not part of the mapping language", "use a fragment")
		return nil
	}
	return root.Content[0]
}

const maxDocument = 1 << 20

func aliased(node *yaml.Node) int {
	if node.Kind == yaml.AliasNode || node.Anchor != "" {
		return node.Line
	}
	for _, child := range node.Content {
		if line := aliased(child); line > 0 {
			return line
		}
	}
	return 0
}
