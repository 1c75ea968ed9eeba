package suite

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"net/http"
	"reflect"
	"strings"
	"time"

	"github.com/lrshub/lrshub/plugins/contract"
	"github.com/lrshub/lrshub/plugins/sdk"
)

// checkPure: the same answer each time, from each instance, valid, and something useful without a configuration.
func checkPure(t T, s Subject) {
	t.Helper()
	d := s.describe(t)
	if d.Name != s.Name {
		t.Errorf("the connector calls itself %q, the test %q", d.Name, s.Name)
	}
	if err := d.Validate(); err != nil {
		t.Errorf("%v", err)
	}
	if again := s.describe(t); !reflect.DeepEqual(again, d) {
		t.Errorf("Describe gives another answer for the same configuration")
	}
	static, err := s.connector().Describe(nil)
	if err != nil {
		t.Fatalf("Describe without configuration: %v", err)
	}
	if static.Name != d.Name || static.Version != d.Version || static.ConfigSchema != d.ConfigSchema {
		t.Errorf("name, version or schema of the configuration depend on the configuration")
	}
	if static.Summary == "" {
		t.Errorf("the connector has no summary: one line for who chooses")
	}
}

// checkConfigSchema: it is JSON, an object's, and the test's configuration holds no secret.
func checkConfigSchema(t T, s Subject) {
	t.Helper()
	d := s.describe(t)
	if d.ConfigSchema == "" {
		t.Fatalf("the connector has no schema of its configuration")
	}
	var schema struct {
		Type       any
		Properties map[string]struct {
			Secret bool `json:"x-secret"`
		}
	}
	if err := json.Unmarshal([]byte(d.ConfigSchema), &schema); err != nil || schema.Type != "object" {
		t.Fatalf("the schema of the configuration is not a JSON Schema of an object: %v", err)
	}
	var config map[string]json.RawMessage
	if err := json.Unmarshal([]byte(s.Config), &config); err != nil {
		t.Fatalf("the test's configuration is not a JSON object: %v", err)
	}
	for name, property := range schema.Properties {
		if _, there := config[name]; there && property.Secret {
			t.Errorf("%q is a secret: give it in Subject.Secrets, not in the configuration", name)
		}
	}
}

// checkRefused: a configuration that cannot work is refused as such, before anything is read.
func checkRefused(t T, s Subject) {
	t.Helper()
	for name, config := range s.Refused {
		bad := s
		bad.Config = config
		d, err := s.connector().Describe([]byte(config))
		if err == nil {
			err = d.Validate()
		}
		if err == nil {
			err = s.connector().Check(t.Context(), bad.session(d))
		}
		var known *sdk.Error
		if !errors.As(err, &known) || known.Class != sdk.ClassConfig {
			t.Errorf("%s: want an *sdk.Error of class config, got %v", name, err)
		}
	}
}

func checkCheck(t T, s Subject) {
	t.Helper()
	if err := s.connector().Check(t.Context(), s.session(s.describe(t))); err != nil {
		t.Errorf("Check inside the test: %v", err)
	}
	p, end := s.start(t)
	defer end()
	if err := p.Check(t.Context()); err != nil {
		t.Errorf("Check of the process: %v", err)
	}
	d, err := p.Describe(t.Context(), []byte(s.Config))
	if err != nil {
		t.Fatalf("Describe of the process: %v", err)
	}
	want := s.describe(t)
	if s.New != nil {
		want.Abilities = sdk.Abilities(s.New())
	}
	if !sameJSON(d, want) {
		t.Errorf("the process describes itself differently")
	}
}

func sameJSON(a, b any) bool {
	one, _ := json.Marshal(a)
	two, _ := json.Marshal(b)
	return string(one) == string(two)
}

// signing gives a client that adds the secrets of Description.Auth, as the hub does for a process.
func (s Subject) signing(d sdk.Description) *http.Client {
	return &http.Client{Transport: signer{description: d, secrets: s.Secrets, out: s.through(http.DefaultTransport)}}
}

type signer struct {
	description sdk.Description
	secrets     map[string]string
	out         http.RoundTripper
}

func (s signer) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	for _, auth := range s.description.Auth {
		value := s.secrets[auth.Secret]
		switch auth.Kind {
		case contract.AuthBearer, contract.AuthOAuth2: // see ownToken
			r.Header.Set("Authorization", "Bearer "+value)
		case contract.AuthBasic:
			r.Header.Set("Authorization", "Basic "+base64.StdEncoding.EncodeToString([]byte(auth.Name+":"+value)))
		case contract.AuthUser:
			r.SetBasicAuth(value, auth.Name)
		case contract.AuthHeader:
			r.Header.Set(auth.Name, auth.Prefix+value)
		case contract.AuthQuery:
			query := r.URL.Query()
			query.Set(auth.Name, value)
			r.URL.RawQuery = query.Encode()
		}
	}
	return s.out.RoundTrip(r)
}

// ownToken is the issuer of access tokens in the suite: the secret itself is the token, so a source in a test takes that as a bearer token.
func ownToken(_ context.Context, _ contract.Auth, secret string) (string, time.Duration, error) {
	return secret, time.Hour, nil
}

// leaks says which secret stands in a text, by name.
func (s Subject) leaks(text string) string {
	for name, value := range s.Secrets {
		if value != "" && strings.Contains(text, value) {
			return name
		}
	}
	return ""
}
