package connection

import (
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/lrshub/lrshub/hub/mapping"
	"github.com/lrshub/lrshub/hub/vault"
	"github.com/lrshub/lrshub/plugins/contract"
)

// Checked is a specification that Check found good; only such a one can be added.
type Checked struct {
	spec      Spec
	schedule  time.Duration
	lateAfter time.Duration
	streams   []MappedStream
	public    json.RawMessage   // configuration without secrets
	secrets   map[string]string // by property path
}

// Streams gives the streams that the mapping reads, in the order of reading.
func (c Checked) Streams() []MappedStream { return c.streams }

// Check holds a specification against what its connector says of itself (asked with this configuration, since its streams may depend on
// it): the configuration against the connector's schema, the mapping against its streams. The error joins all that is wrong, each a
// *FileError or a *mapping.Error with the file's line. Whether the purpose exists, Add finds out.
func Check(spec Spec, d contract.Description) (Checked, error) {
	c := Checked{spec: spec}
	var wrong []error
	if spec.Connector != d.Name {
		wrong = append(wrong, spec.wrong("connector", "is %q, but the connector that answered is %q", spec.Connector, d.Name))
	}
	if spec.Purpose == "" {
		wrong = append(wrong, spec.wrong("purpose", "is missing: say for which purpose these records are kept, in the file or with --purpose"))
	}
	if spec.Mapping == "" {
		spec.Mapping = impliedMapping(d.Streams)
		c.spec = spec
	}
	var err error
	if c.schedule, err = parseSchedule(spec.Schedule); err != nil {
		wrong = append(wrong, spec.wrong("schedule", "%w", err))
	}
	if c.lateAfter, err = parseLateAfter(spec.LateAfter); err != nil {
		wrong = append(wrong, spec.wrong("late_after", "%w", err))
	}
	if err := checkAlert(spec); err != nil {
		wrong = append(wrong, err)
	}
	for _, kind := range spec.Link {
		if !slices.Contains(vault.LinkKinds(), kind) {
			wrong = append(wrong, spec.wrong("link", "people are not recognised by %q; there are %s", kind, strings.Join(vault.LinkKinds(), ", ")))
		}
	}
	if sum, err := hex.DecodeString(spec.Checksum); err != nil || len(sum) != 32 && len(sum) != 0 {
		wrong = append(wrong, spec.wrong("checksum", "must be a SHA-256 in hex, 64 digits (see: sha256sum FILE)"))
	}
	complaints := checkConfig(spec, d.ConfigSchema)
	if len(complaints) == 0 {
		if c.public, c.secrets, err = splitSecrets(spec.Config, d.ConfigSchema); err != nil {
			complaints = append(complaints, spec.wrong("config", "%w", err))
		}
	}
	wrong = append(wrong, complaints...)
	if c.streams, err = checkMapping(spec, d.Streams); err != nil {
		wrong = append(wrong, err)
	}
	return c, errors.Join(wrong...)
}

// checkAlert holds the address for alerts against what the hub would post to. The error does not quote it: it may hold a token.
func checkAlert(spec Spec) error {
	if spec.Alert == "" {
		return nil
	}
	u, err := url.Parse(spec.Alert)
	switch {
	case err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Host == "":
		return spec.wrong("alert", "must be an address to post to, like https://chat.example.org/hooks/…")
	case spec.LateAfter == "":
		return spec.wrong("alert", "has nothing to tell without late_after: say after which time a stream is late")
	}
	return nil
}

// impliedMapping is that of a connector all of whose streams are statements, which need none; "" if they do.
func impliedMapping(streams []contract.Stream) string {
	text := "name: statements\nversion: 1\nabout: The source's statements, kept as they are.\nstreams:\n"
	for _, s := range streams {
		if !s.Statements {
			return ""
		}
		text += "  " + s.Name + ":\n"
	}
	if len(streams) == 0 {
		return ""
	}
	return text
}

// checkMapping loads the mapping and lists the fields that it names.
func checkMapping(spec Spec, streams []contract.Stream) ([]MappedStream, error) {
	if spec.Mapping == "" {
		return nil, spec.wrong("mapping", "is missing: name a mapping file, or write the mapping below it")
	}
	m, err := LoadMapping(spec.Mapping, spec.Params, streams)
	if err != nil {
		return nil, moveLines(err, spec.MappingLine)
	}
	var list []MappedStream
	for _, name := range m.Streams() {
		if described, _ := (contract.Description{Streams: streams}).Stream(name); described.Statements && m.Converts(name) {
			return nil, spec.wrong("mapping", "stream %s brings statements, which are kept as they are: write only %s:, or leave the mapping out", name, name)
		}
		s := MappedStream{Name: name, Fields: m.Fields(name)}
		for _, l := range m.Lookups(name) {
			if l.Many { // stored records are found by their whole key only
				return nil, spec.wrong("mapping", "stream %s looks up many records of %s (lookup %s): connections look up one record by its whole key", name, l.Stream, l.Name)
			}
			if !slices.Contains(s.Lookups, l.Stream) {
				s.Lookups = append(s.Lookups, l.Stream)
			}
		}
		list = append(list, s)
	}
	return list, nil
}

// LoadMapping loads a connection's mapping with its parameters (a JSON object, or nothing) for the streams that its connector describes.
func LoadMapping(document string, params json.RawMessage, streams []contract.Stream) (*mapping.Mapping, error) {
	var given map[string]any
	if len(params) > 0 {
		if err := decodeNumbers(params, &given); err != nil {
			return nil, fmt.Errorf("connection: the mapping's parameters are not a JSON object")
		}
	}
	return mapping.Load([]byte(document), streams, mapping.WithParams(given))
}

// moveLines makes the lines of a mapping's complaints those of the file that the mapping stands in.
func moveLines(err error, above int) error {
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		for _, each := range joined.Unwrap() {
			_ = moveLines(each, above) // changed in place
		}
		return err
	}
	var complaint *mapping.Error
	if errors.As(err, &complaint) && complaint.Line > 0 {
		complaint.Line += above
	}
	return err
}

// PublicConfig gives the part of a configuration that a connector's process may see, before the specification was checked: Describe needs
// it to say which streams there are. schema is what the connector says with no configuration.
func PublicConfig(spec Spec, schema string) (json.RawMessage, error) {
	public, _, err := ConfigParts(spec, schema)
	return public, err
}

// ConfigParts checks a configuration against its connector's schema and parts it into what the connector's process may see, and the secrets by property
// path. It is for who runs a connector without a hub.
func ConfigParts(spec Spec, schema string) (public json.RawMessage, secrets map[string]string, err error) {
	if wrong := checkConfig(spec, schema); len(wrong) > 0 {
		return nil, nil, errors.Join(wrong...)
	}
	if public, secrets, err = splitSecrets(spec.Config, schema); err != nil {
		return nil, nil, spec.wrong("config", "%w", err)
	}
	return public, secrets, nil
}

// splitSecrets parts a configuration into what a connector's process may see and the secrets, by property path ("auth.token"), that its schema marks
// with x-secret.
func splitSecrets(config json.RawMessage, schema string) (public json.RawMessage, secrets map[string]string, err error) {
	var value map[string]any
	if err := decodeNumbers(config, &value); err != nil {
		return nil, nil, errors.New("must be an object: keys with values")
	}
	secrets = map[string]string{}
	var node schemaNode
	if schema != "" {
		if err := json.Unmarshal([]byte(schema), &node); err != nil {
			return nil, nil, fmt.Errorf("the connector's schema is not JSON: %w", err)
		}
	}
	if err := takeSecrets(value, node, "", secrets); err != nil {
		return nil, nil, err
	}
	public, err = json.Marshal(value)
	return public, secrets, err
}

// schemaNode is what splitSecrets needs of a JSON Schema.
type schemaNode struct {
	Secret     bool                  `json:"x-secret"`
	Properties map[string]schemaNode `json:"properties"`
}

func takeSecrets(object map[string]any, node schemaNode, path string, secrets map[string]string) error {
	for name, property := range node.Properties {
		value, given := object[name]
		if !given {
			continue
		}
		at := join(path, name)
		if !property.Secret {
			if below, ok := value.(map[string]any); ok {
				if err := takeSecrets(below, property, at, secrets); err != nil {
					return err
				}
			}
			continue
		}
		text, ok := value.(string)
		if !ok {
			return fmt.Errorf("%s is a secret, and must be text in quotes", at)
		}
		secrets[at] = text
		delete(object, name)
	}
	return nil
}
