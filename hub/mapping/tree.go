package mapping

import (
	"fmt"
	"strings"

	"go.yaml.in/yaml/v3"
)

// tree is a template as written: a YAML value in which texts may hold `${expression}`.
type tree struct {
	line   int
	column int
	object bool
	list   bool
	keys   []treeKey // of an object
	values []*tree   // of an object or list
	scalar any       // else: text, int64, float64, bool, nil
	use    []useDoc  // $use
	ref    string    // $ref
	origin string    // the fragment's name, "" outside fragments
}

type treeKey struct {
	text string
	line int
}

type useDoc struct {
	fragment string
	line     int
	with     []codeDoc
}

func (r *reading) template(node *yaml.Node, where string) *tree {
	return r.templateOf(node, where, "", nil)
}

// templateOf reads a template. At the top of a fragment it takes $arguments too, into arguments.
func (r *reading) templateOf(node *yaml.Node, where, fragment string, arguments *[]string) *tree {
	made := &tree{line: node.Line, column: node.Column, origin: fragment}
	switch node.Kind {
	case yaml.MappingNode:
		made.object = true
		r.objectTemplate(made, node, where, arguments)
	case yaml.SequenceNode:
		made.list = true
		for i, item := range node.Content {
			made.values = append(made.values, r.templateOf(item, fmt.Sprintf("%s[%d]", where, i), fragment, nil))
		}
	default:
		value, problem := scalar(node)
		if problem != "" {
			r.fail(node.Line, where, problem, "put it in quotes if it is a text")
		}
		made.scalar = value
		made.line, made.column = firstLine(node)
	}
	return made
}

func (r *reading) objectTemplate(made *tree, node *yaml.Node, where string, arguments *[]string) {
	var with []codeDoc
	for _, e := range r.entries(node, where) {
		if !strings.HasPrefix(e.key, "$") || strings.HasPrefix(e.key, "${") {
			made.keys = append(made.keys, treeKey{text: e.key, line: e.line})
			made.values = append(made.values, r.templateOf(e.value, where+"."+e.key, made.origin, nil))
			continue
		}
		switch e.key {
		case "$use":
			for _, name := range r.texts(e.value, where+".$use") {
				made.use = append(made.use, useDoc{fragment: name, line: e.line})
			}
		case "$with":
			with = r.lets(e.value, where+".$with")
		case "$ref":
			made.ref = r.text(e.value, where+".$ref")
		case "$arguments":
			if arguments == nil {
				r.fail(e.line, where, "$arguments that is not at the top of a fragment", "declare arguments at the fragment's top")
				continue
			}
			*arguments = r.texts(e.value, where+".$arguments")
		default:
			r.fail(e.line, where, fmt.Sprintf("unknown mark %q", e.key), suggest(e.key, []string{"$use", "$with", "$ref", "$arguments"}))
		}
	}
	switch {
	case with != nil && len(made.use) != 1:
		r.fail(node.Line, where, "$with needs exactly one $use", "name the one fragment that takes these arguments")
	case with != nil:
		made.use[0].with = with
	}
	if made.ref != "" && (len(made.keys) > 0 || len(made.use) > 0) {
		r.fail(node.Line, where, "$ref beside other keys", "$ref alone makes the whole reference")
	}
}

// piece is a part of a text: plain, or an expression.
type piece struct {
	text string
	code bool
	at   int // byte offset in the text
}

// split takes a text apart at its `${expression}` marks; `$${` stands for a plain `${`.
func split(text string) (pieces []piece, problem string) {
	var plain strings.Builder
	flush := func() {
		if plain.Len() > 0 {
			pieces = append(pieces, piece{text: plain.String()})
			plain.Reset()
		}
	}
	for i := 0; i < len(text); {
		switch {
		case strings.HasPrefix(text[i:], "$${"):
			plain.WriteString("${")
			i += 3
		case strings.HasPrefix(text[i:], "${"):
			end := closing(text, i+2)
			if end < 0 {
				return nil, "${ without its }"
			}
			if strings.TrimSpace(text[i+2:end]) == "" {
				return nil, "${} with nothing in it"
			}
			flush()
			pieces = append(pieces, piece{text: text[i+2 : end], code: true, at: i + 2})
			i = end + 1
		default:
			plain.WriteByte(text[i])
			i++
		}
	}
	flush()
	return pieces, ""
}

// closing finds the brace that ends an expression, minding CEL's braces and texts.
func closing(text string, at int) int {
	for depth := 0; at < len(text); at++ {
		switch c := text[at]; c {
		case '{':
			depth++
		case '}':
			if depth == 0 {
				return at
			}
			depth--
		case '"', '\'':
			raw := at > 0 && (text[at-1] == 'r' || text[at-1] == 'R')
			for at++; at < len(text) && text[at] != c; at++ {
				if text[at] == '\\' && !raw {
					at++
				}
			}
		}
	}
	return -1
}
