// Package openedxapi is the connector for what Open edX tells by REST: who is enrolled, and grades. What happened, and when, stands in its
// tracking logs, which the connector openedx reads. Start reading at New.
package openedxapi

import (
	"context"
	_ "embed"
	"encoding/json"
	"strings"
	"unicode/utf8"

	"github.com/lrshub/lrshub/plugins/contract"
	"github.com/lrshub/lrshub/plugins/sdk"
	"github.com/lrshub/lrshub/plugins/sdk/rest"
)

//go:embed config.schema.json
var configSchema string

// next is the address of the next page, as Django REST framework gives it: for pages by cursor beside the results, for courses below pagination.
var (
	next       = rest.Token{Value: "next", Size: "page_size", Limit: 100}
	nextCourse = rest.Token{Value: "pagination.next", Size: "page_size", Limit: 100}
)

// New makes the connector. Both streams are read course by course, for all courses that the application's user may see.
func New() sdk.Connector {
	return rest.Connector{
		About: sdk.Description{
			Name: "openedxapi", Version: "1.0.0", Summary: "Open edX: enrolments and grades, by REST",
			ConfigSchema: configSchema, Rate: 5,
		},
		Base: "{url}",
		Configure: func(config []byte, d *sdk.Description) error {
			var c struct{ URL, Client string }
			if err := json.Unmarshal(config, &c); err != nil || c.Client == "" {
				return sdk.Errorf(sdk.ClassConfig, "openedxapi: set client to the id of the OAuth2 application")
			}
			d.Auth = []sdk.Auth{{Kind: contract.AuthOAuth2, Host: d.Hosts[0], Name: c.Client, Secret: "secret", TokenURL: strings.TrimSuffix(c.URL, "/") + "/oauth2/access_token"}}
			return nil
		},
		Streams: []rest.Stream{
			{Stream: enrolmentStream, Path: "/api/enrollment/v1/enrollments?course_id={part}", Records: "results", Paging: next, Parts: courses},
			{Stream: gradeStream, Path: "/api/grades/v1/courses/{part}/", Records: "results", Paging: next, Parts: courses},
		},
	}
}

// courses tells the ids of courses. One that is damaged would read as a course that nobody takes.
func courses(ctx context.Context, c *rest.Client, each func(string) error) error {
	return rest.Part("/api/courses/v1/courses/", "results", nextCourse, "course_id")(ctx, c, func(id string) error {
		if strings.ContainsRune(id, utf8.RuneError) {
			return sdk.Errorf(sdk.ClassSourceBug, "the list of courses has an id that is not UTF-8")
		}
		return each(id)
	})
}

func optional(name string, t contract.Type) sdk.Field {
	return sdk.Field{Name: name, Type: t, Optional: true}
}

var enrolmentStream = sdk.Stream{
	Name: "enrolment", Key: []string{"user", "course_id"}, Subject: "user", Deletes: contract.DeletesAbsence,
	Fields: []sdk.Field{
		{Name: "user", Type: contract.String}, {Name: "course_id", Type: contract.String}, optional("created", contract.Timestamp), optional("mode", contract.String),
		optional("is_active", contract.Bool),
	},
}

// gradeStream: the API tells no time, and the mail address, which is left out.
var gradeStream = sdk.Stream{
	Name: "grade", Key: []string{"username", "course_id"}, Subject: "username", Deletes: contract.DeletesAbsence,
	Fields: []sdk.Field{
		{Name: "username", Type: contract.String}, {Name: "course_id", Type: contract.String}, optional("passed", contract.Bool), optional("percent", contract.Double),
		optional("letter_grade", contract.String),
	},
}
