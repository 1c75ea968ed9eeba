// Package scormcloud is the connector for SCORM Cloud (Rustici Software, API v2): registrations, and every interaction that their courses
// report. Start reading at New; convert.go makes records of a registration.
package scormcloud

import (
	_ "embed"
	"encoding/json"

	"github.com/lrshub/lrshub/plugins/contract"
	"github.com/lrshub/lrshub/plugins/sdk"
	"github.com/lrshub/lrshub/plugins/sdk/rest"
)

//go:embed config.schema.json
var configSchema string

// path asks for registrations by their time of update, with everything that their activities report.
const path = "/registrations?datetimeFilter=updated&includeChildResults=true&includeInteractionsAndObjectives=true&includeRuntime=true&courseId={course}"

// New makes the connector.
func New() sdk.Connector {
	window := &rest.Window{Since: "since", Until: "until", Updated: "updated", From: "since"}
	more := rest.Token{Value: "more", Param: "more", Alone: true}
	return rest.Connector{
		About: sdk.Description{
			Name: "scormcloud", Version: "1.0.0", Summary: "SCORM Cloud: registrations and interactions, by API v2",
			ConfigSchema: configSchema, Rate: 5,
		},
		Base: "{url}/api/v2",
		Configure: func(config []byte, d *sdk.Description) error {
			var c struct{ App string }
			if err := json.Unmarshal(config, &c); err != nil || c.App == "" {
				return sdk.Errorf(sdk.ClassConfig, "scormcloud: set app to the application's id")
			}
			d.Auth = []sdk.Auth{{Kind: contract.AuthBasic, Host: d.Hosts[0], Name: c.App, Secret: "secret"}}
			return nil
		},
		Streams: []rest.Stream{
			{Stream: registrationStream, Path: path, Records: "registrations", Paging: more, Window: window, Convert: registration},
			{Stream: interactionStream, Path: path, Records: "registrations", Paging: more, Window: window, Convert: interactions, Raw: true, Unchecked: true},
		},
	}
}

func field(name string, t contract.Type) sdk.Field { return sdk.Field{Name: name, Type: t} }

func optional(name string, t contract.Type) sdk.Field {
	return sdk.Field{Name: name, Type: t, Optional: true}
}

var registrationStream = sdk.Stream{
	Name: "registration", Key: []string{"id", "instance"}, Subject: "learner", Mode: contract.Incremental,
	Fields: []sdk.Field{
		field("id", contract.String), field("instance", contract.Int), field("updated", contract.Timestamp), field("learner", contract.String), field("course", contract.String),
		optional("title", contract.String), optional("completion", contract.String), optional("success", contract.String), optional("score", contract.Double),
		optional("seconds", contract.Double), optional("first", contract.Timestamp), optional("last", contract.Timestamp), optional("completed", contract.Timestamp),
		optional("registration", contract.String),
	},
}

var interactionStream = sdk.Stream{
	Name: "interaction", Key: []string{"id", "instance", "activity", "index"}, Subject: "learner", Mode: contract.Incremental,
	Fields: []sdk.Field{
		field("id", contract.String), field("instance", contract.Int), field("updated", contract.Timestamp), field("learner", contract.String), field("course", contract.String),
		optional("registration", contract.String), field("activity", contract.String), optional("title", contract.String), field("index", contract.Int),
		field("interaction", contract.String), optional("kind", contract.String), optional("at", contract.Timestamp), optional("response", contract.String),
		optional("result", contract.String), optional("latency", contract.String), optional("description", contract.String),
		{Name: "correct", Type: contract.List, Elem: &sdk.Field{Type: contract.String}, Optional: true},
	},
}
