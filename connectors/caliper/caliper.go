// Package caliper is the connector for Caliper 1.1 and 1.2: sensors of learning tools push envelopes of events and entities to the hub. It takes
// pushes only. Start reading at Receive; envelope.go says what an envelope must be, plain.go what becomes of its items, schema.go the streams.
package caliper

import (
	"context"
	_ "embed"
	"encoding/json"
	"fmt"
	"net/http"

	"github.com/lrshub/lrshub/plugins/contract"
	"github.com/lrshub/lrshub/plugins/sdk"
)

//go:embed config.schema.json
var configSchema string

// Connector takes envelopes.
type Connector struct{}

// New makes the connector.
func New() sdk.Connector { return Connector{} }

// config is a connection's configuration, without its secrets.
type config struct {
	Auth   string `json:"auth"`   // bearer, hmac
	Header string `json:"header"` // of the signature
	Prefix string `json:"prefix"` // before the signature
	Sent   string `json:"sent"`   // header with the time of sending, which is signed too; "": none
}

func parseConfig(text []byte) (config, error) {
	c := config{Auth: "bearer", Header: "X-Caliper-Signature"}
	if err := json.Unmarshal(text, &c); err != nil {
		return c, sdk.Errorf(sdk.ClassConfig, "the configuration is not a JSON object with texts")
	}
	if c.Auth != "bearer" && c.Auth != "hmac" {
		return c, sdk.Errorf(sdk.ClassConfig, "auth is bearer or hmac, not %q", c.Auth)
	}
	return c, nil
}

// Describe names the two streams.
func (Connector) Describe(text []byte) (sdk.Description, error) {
	if text != nil {
		if _, err := parseConfig(text); err != nil {
			return sdk.Description{}, err
		}
	}
	return sdk.Description{
		Name: "caliper", Version: "1.0.0", Summary: "Caliper 1.1 and 1.2 events and entities that sensors push",
		ConfigSchema: configSchema,
		Secrets:      []string{"secret", "next_secret"}, // what is pushed is signed with them: nothing else can check it
		Abilities:    []sdk.Ability{contract.AbilityReceive},
		Streams:      []contract.Stream{entities(), events()},
	}, nil
}

// Check finds out whether there is a secret to check pushes with.
func (Connector) Check(ctx context.Context, s *sdk.Session) error {
	_, err := secrets(ctx, s)
	return err
}

// Read says that there is nothing to read.
func (Connector) Read(context.Context, *sdk.Session, sdk.Request, *sdk.Output) error {
	return sdk.Errorf(sdk.ClassUnsupported, "Caliper is pushed, not read: give the sensor the address /hooks/ and the connection's id, and its secret")
}

// secrets gives the secret and, while it is being changed, the next one.
func secrets(ctx context.Context, s *sdk.Session) ([]string, error) {
	secret, err := s.Secret(ctx, "secret")
	if err != nil || secret == "" {
		return nil, sdk.Errorf(sdk.ClassConfig, "secret is missing: set it to what the sensor sends, or signs with")
	}
	if next, err := s.Secret(ctx, "next_secret"); err == nil && next != "" {
		return []string{secret, next}, nil
	}
	return []string{secret}, nil
}

// Receive takes one envelope. An envelope that is none is refused with what is wrong; an item of it that cannot be read is set aside, and the others are taken.
func (Connector) Receive(ctx context.Context, s *sdk.Session, p sdk.Push, out *sdk.Output) (sdk.Reply, error) {
	c, err := parseConfig(s.Config)
	if err != nil {
		return sdk.Reply{}, err
	}
	known, err := secrets(ctx, s)
	if err != nil {
		return sdk.Reply{}, err
	}
	if c.Auth == "hmac" {
		err = sdk.Signature{Header: c.Header, Prefix: c.Prefix, Timestamp: c.Sent}.Verify(p, known...)
	} else {
		err = sdk.CheckBearer(p, known...)
	}
	if err != nil {
		return sdk.Reply{}, err
	}
	items, err := open(p.Body)
	if err != nil {
		return sdk.Reply{}, err
	}
	for i, item := range items {
		if err := emit(p.Stream, item, fmt.Sprintf("data[%d]", i), out); err != nil {
			return sdk.Reply{}, err
		}
	}
	return sdk.Reply{Status: http.StatusOK}, nil
}

// emit brings an item, if it is of the stream. What is neither event nor entity is set aside with the events.
func emit(stream string, item json.RawMessage, position string, out *sdk.Output) error {
	record, kind, reason := plain(item)
	switch {
	case reason != "" && stream == eventStream:
		return out.Bad(sdk.BadRecord, position, reason, item)
	case reason != "" || kind != stream:
		return nil
	}
	return out.Record(record, position)
}
