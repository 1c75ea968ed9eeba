package connection

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// ErrFile is wrapped by every complaint about a connection's file or specification.
var ErrFile = errors.New("invalid connection")

// FileError says what is wrong with a connection's file. It holds no value of the configuration, which may be a secret.
type FileError struct {
	Line    int    // of the file, from 1; 0 where it is not known, or where the value came from --set
	Key     string // "schedule", "config.files[2].name"
	Problem string // what is wrong and what to do
}

func (e *FileError) Error() string {
	var b strings.Builder
	b.WriteString(ErrFile.Error())
	if e.Line > 0 {
		fmt.Fprintf(&b, ", line %d", e.Line)
	}
	if e.Key != "" {
		b.WriteString(", " + e.Key)
	}
	return b.String() + ": " + e.Problem
}

func (e *FileError) Unwrap() error { return ErrFile }

// Spec is what somebody wants a connection to be. See ParseFile for its file.
type Spec struct {
	Connector string          `json:"connector"`
	Checksum  string          `json:"checksum,omitempty"` // SHA-256, hex, of a third-party connector's binary
	Config    json.RawMessage `json:"config"`             // an object; the connector's schema says what is in it
	Mapping   string          `json:"mapping"`            // the document
	Params    json.RawMessage `json:"params,omitempty"`   // an object: parameters of the mapping
	Purpose   string          `json:"purpose"`
	Schedule  string          `json:"schedule,omitempty"`   // "15m"; "" or "manual": on demand
	Link      []string        `json:"link,omitempty"`       // kinds of claim (vault.LinkKinds) on which its records may link people; none: on none
	LateAfter string          `json:"late_after,omitempty"` // "1d": a stream that was neither read to its end nor pushed for longer is late; "": never
	Alert     string          `json:"alert,omitempty"`      // URL to which it is posted that a stream is late

	// MappingFile is where the file says that its mapping is, relative to the file. Whoever has the file reads it into Mapping
	// before the specification goes to the hub.
	MappingFile string `json:"-"`
	// Lines says where in the file a key stands ("purpose", "config.folder"), for messages.
	Lines map[string]int `json:"lines,omitempty"`
	// MappingLine is the number of lines of the file above an inline mapping.
	MappingLine int `json:"mapping_line,omitempty"`
}

// at names a key and, if known, its line.
func (s Spec) at(key string) string {
	if line := s.Lines[key]; line > 0 {
		return fmt.Sprintf("line %d, %s", line, key)
	}
	return key
}

func (s Spec) wrong(key, problem string, args ...any) error {
	return &FileError{Line: s.Lines[key], Key: key, Problem: fmt.Errorf(problem, args...).Error()}
}

const maxFile = 4 << 20

// ParseFile reads a connection's file:
//
//	connector: csv
//	purpose: learning-records        # may be left out, for the caller to say
//	schedule: 15m                    # left out, or manual: on demand
//	late_after: 2h                   # a stream that was neither read nor pushed for longer is late; left out: never
//	alert: https://chat.example/…    # where that is posted, as JSON; left out: the log and the list of connections tell
//	checksum: 9f86d08…               # of a third-party connector
//	config:                          # what the connector's schema says
//	  folder: /data/tables
//	mapping: registrations.yaml      # a file beside this one, or the document itself, indented
//	params:                          # parameters of the mapping
//	  home: https://lms.example
//	link: [employee_number, mailbox] # by what its people are recognised in other systems; left out: by nothing
//
// set replaces or adds values of config, by dotted path ("folder", "files.0.name"), and of params ("params.home"). A value that replaces a
// number or a truth value of the file must be one; any other is text. Unknown keys, repeated keys, anchors and more than one document are refused. The error is a *FileError.
func ParseFile(document []byte, set map[string]string) (Spec, error) {
	if len(document) > maxFile {
		return Spec{}, &FileError{Problem: fmt.Sprintf("the file has %d bytes; the limit is %d", len(document), maxFile)}
	}
	root, err := parseYAML(document)
	if err != nil {
		return Spec{}, err
	}
	s := Spec{Lines: map[string]int{}}
	trees := map[string]*yaml.Node{"config": {Kind: yaml.MappingNode}, "params": {Kind: yaml.MappingNode}}
	for i := 0; i < len(root.Content); i += 2 {
		key, value := root.Content[i], root.Content[i+1]
		s.Lines[key.Value] = key.Line
		if _, tree := trees[key.Value]; !tree {
			if err := s.setKey(key.Value, value, document); err != nil {
				return Spec{}, err
			}
		} else if !isNull(value) {
			trees[key.Value] = value
		}
	}
	if s.Config, err = s.tree("config", trees["config"], set); err != nil {
		return Spec{}, err
	}
	if s.Params, err = s.tree("params", trees["params"], set); err != nil {
		return Spec{}, err
	}
	return s, nil
}

// tree turns config or params into JSON.
func (s *Spec) tree(name string, n *yaml.Node, set map[string]string) (json.RawMessage, error) {
	if n.Kind != yaml.MappingNode {
		return nil, s.wrong(name, "must be a list of keys with values, indented below it")
	}
	for _, path := range slices.Sorted(maps.Keys(set)) {
		below, param := strings.CutPrefix(path, "params.")
		if param != (name == "params") {
			continue
		}
		if err := setPath(n, path, strings.Split(below, "."), set[path]); err != nil {
			return nil, err
		}
	}
	line := s.Lines[name]
	value, err := s.value(n, name)
	if err != nil {
		return nil, err
	}
	if line > 0 {
		s.Lines[name] = line // of the key, not of what stands below
	}
	return json.Marshal(value)
}

// parseYAML reads one document whose top is a mapping.
func parseYAML(document []byte) (*yaml.Node, error) {
	decoder := yaml.NewDecoder(strings.NewReader(string(document)))
	var doc yaml.Node
	if err := decoder.Decode(&doc); err != nil {
		return nil, &FileError{Problem: "not YAML: " + withoutValues(err)}
	}
	var more yaml.Node
	if err := decoder.Decode(&more); err == nil {
		return nil, &FileError{Line: more.Line, Problem: "a second document begins here; a connection's file has one"}
	}
	root := doc.Content[0]
	if root.Kind != yaml.MappingNode {
		return nil, &FileError{Line: root.Line, Problem: "the file must have the keys connector, config, mapping and perhaps purpose and schedule"}
	}
	return root, noSurprises(root, "")
}

// withoutValues keeps what a YAML error says of the place; the rest may quote the file.
func withoutValues(err error) string {
	text := strings.TrimPrefix(err.Error(), "yaml: ")
	if cut := strings.IndexAny(text, "`\"'"); cut >= 0 {
		text = text[:cut] + "…"
	}
	return text
}

// noSurprises refuses what would make a file say something else than it seems to.
func noSurprises(n *yaml.Node, path string) error {
	if n.Kind == yaml.AliasNode || n.Anchor != "" {
		return &FileError{Line: n.Line, Key: path, Problem: "anchors and aliases are not allowed: write the value out"}
	}
	if n.Kind != yaml.MappingNode {
		for i, item := range n.Content {
			if err := noSurprises(item, fmt.Sprintf("%s[%d]", path, i)); err != nil {
				return err
			}
		}
		return nil
	}
	seen := map[string]int{}
	for i := 0; i < len(n.Content); i += 2 {
		key := n.Content[i]
		below := join(path, key.Value)
		if key.Kind != yaml.ScalarNode || key.Tag == "!!merge" {
			return &FileError{Line: key.Line, Key: path, Problem: "a key must be plain text"}
		}
		if first, twice := seen[key.Value]; twice {
			return &FileError{Line: key.Line, Key: below, Problem: fmt.Sprintf("is given twice, first in line %d", first)}
		}
		seen[key.Value] = key.Line
		if err := noSurprises(n.Content[i+1], below); err != nil {
			return err
		}
	}
	return nil
}

func join(path, key string) string {
	if path == "" {
		return key
	}
	return path + "." + key
}

var fileKeys = []string{"connector", "purpose", "schedule", "late_after", "alert", "checksum", "config", "mapping", "params", "link"}

func (s *Spec) setKey(key string, value *yaml.Node, document []byte) error {
	if key == "mapping" {
		return s.setMapping(value, document)
	}
	if key == "link" {
		if value.Kind != yaml.SequenceNode || value.Decode(&s.Link) != nil {
			return s.wrong(key, "must be a list of kinds of claim, such as [employee_number, mailbox]")
		}
		return nil
	}
	targets := map[string]*string{"connector": &s.Connector, "purpose": &s.Purpose, "schedule": &s.Schedule, "late_after": &s.LateAfter, "alert": &s.Alert,
		"checksum": &s.Checksum}
	target, known := targets[key]
	if !known {
		return s.wrong(key, "unknown key; a connection's file has %s", strings.Join(fileKeys, ", "))
	}
	if value.Kind != yaml.ScalarNode {
		return s.wrong(key, "must be one value")
	}
	*target = value.Value
	return nil
}

// setMapping takes the mapping: a file's name, or a document as text or as YAML below the key.
func (s *Spec) setMapping(value *yaml.Node, document []byte) error {
	switch {
	case value.Kind == yaml.ScalarNode && value.Style&(yaml.LiteralStyle|yaml.FoldedStyle) != 0:
		s.Mapping, s.MappingLine = value.Value, value.Line // the text begins below the | or >
	case value.Kind == yaml.ScalarNode && value.Value != "":
		s.MappingFile = value.Value
	case value.Kind == yaml.MappingNode && value.Style&yaml.FlowStyle == 0:
		s.Mapping, s.MappingLine = below(document, value), value.Line-1
	default:
		return s.wrong("mapping", "must be the name of a mapping file, or the mapping itself, indented below it")
	}
	return nil
}

// below cuts a block's lines out of the document and takes its indent off, so that the mapping is kept as written, comments too.
func below(document []byte, n *yaml.Node) string {
	lines := strings.Split(string(document), "\n")[n.Line-1:]
	indent := strings.Repeat(" ", n.Column-1)
	var b strings.Builder
	for _, line := range lines {
		rest, inside := strings.CutPrefix(line, indent)
		blank := strings.TrimSpace(line) == ""
		comment := strings.HasPrefix(strings.TrimSpace(line), "#")
		if !inside && !blank && !comment {
			break
		}
		if !inside {
			rest = strings.TrimLeft(line, " ")
		}
		b.WriteString(strings.TrimRight(rest, "\r") + "\n")
	}
	return strings.TrimRight(b.String(), "\n") + "\n"
}

// value turns YAML into what JSON can say, and notes lines.
func (s *Spec) value(n *yaml.Node, path string) (any, error) {
	s.Lines[path] = n.Line
	switch n.Kind {
	case yaml.MappingNode:
		object := make(map[string]any, len(n.Content)/2)
		for i := 0; i < len(n.Content); i += 2 {
			var err error
			if object[n.Content[i].Value], err = s.value(n.Content[i+1], join(path, n.Content[i].Value)); err != nil {
				return nil, err
			}
		}
		return object, nil
	case yaml.SequenceNode:
		list := make([]any, len(n.Content))
		for i, item := range n.Content {
			var err error
			if list[i], err = s.value(item, fmt.Sprintf("%s[%d]", path, i)); err != nil {
				return nil, err
			}
		}
		return list, nil
	}
	return s.scalar(n, path)
}

func (s *Spec) scalar(n *yaml.Node, path string) (any, error) {
	switch n.ShortTag() {
	case "!!str", "!!timestamp": // a date is text to JSON
		return n.Value, nil
	case "!!null":
		return nil, nil
	case "!!bool":
		return n.Value == "true" || n.Value == "True" || n.Value == "TRUE", nil
	case "!!int", "!!float":
		number := json.Number(strings.ReplaceAll(n.Value, "_", ""))
		if _, err := json.Marshal(number); err == nil {
			return number, nil
		}
		var i int64
		if n.Decode(&i) == nil { // 0x10, 0o17
			return json.Number(strconv.FormatInt(i, 10)), nil
		}
	}
	return nil, s.wrong(path, "JSON has no such value; put text in quotes")
}
