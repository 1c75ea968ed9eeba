// Package oneroster is the connector for OneRoster 1.2 by REST (1EdTech): who belongs to a school, which classes there are, who is enrolled in them, and the gradebook's
// results. Start reading at New; convert.go evens out what providers write differently.
package oneroster

import (
	_ "embed"
	"encoding/json"
	"net/url"

	"github.com/lrshub/lrshub/plugins/contract"
	"github.com/lrshub/lrshub/plugins/sdk"
	"github.com/lrshub/lrshub/plugins/sdk/rest"
)

//go:embed config.schema.json
var configSchema string

// defaultScope allows to read rosters without demographics.
const defaultScope = "https://purl.imsglobal.org/spec/or/v1p2/scope/roster.readonly"

// Where the two services are below the base, and the order that makes pages stable.
const (
	rostering = "/rostering/v1p2/"
	gradebook = "/gradebook/v1p2/"
	ordered   = "?sort=sourcedId&orderBy=asc&fields=sourcedId,status,dateLastModified,"
)

// New makes the connector.
func New() sdk.Connector {
	c := rest.Connector{
		About: sdk.Description{
			Name: "oneroster", Version: "1.0.0", Summary: "OneRoster 1.2 by REST: people, organisations, classes, enrolments, results",
			ConfigSchema: configSchema,
		},
		Base:      "{url}",
		Configure: signIn,
	}
	for _, s := range streams {
		c.Streams = append(c.Streams, rest.Stream{
			Stream: s.stream(), Path: s.path + ordered + s.ask, Records: s.records, Convert: s.convert, Unchecked: s.unchecked,
			Paging: rest.Offset{Size: 100, TotalHeader: "X-Total-Count"},
		})
	}
	return c
}

// signIn has the hub get access tokens where the configuration says.
func signIn(config []byte, d *sdk.Description) error {
	var c struct {
		TokenURL string `json:"token_url"`
		ClientID string `json:"client_id"`
		Scope    string `json:"scope"`
	}
	if err := json.Unmarshal(config, &c); err != nil {
		return sdk.Errorf(sdk.ClassConfig, "oneroster: token_url, client_id and scope are texts")
	}
	token, err := url.Parse(c.TokenURL)
	if err != nil || token.Host == "" || c.ClientID == "" {
		return sdk.Errorf(sdk.ClassConfig, "oneroster: set token_url to the address that gives access tokens, like https://sis.example/oauth/token, and client_id")
	}
	if c.Scope == "" {
		c.Scope = defaultScope
	}
	api := d.Hosts[0]
	if host := token.Scheme + "://" + token.Host; host != api {
		d.Hosts = append(d.Hosts, host)
	}
	d.Auth = append(d.Auth, sdk.Auth{Kind: contract.AuthOAuth2, Host: api, Secret: "client_secret", Name: c.ClientID, TokenURL: c.TokenURL, Scope: c.Scope})
	return nil
}

// resource is a kind of record of the standard.
type resource struct {
	name, path, records string
	ask                 string // fields beside those of every record, as the API names them
	subject             string
	fields              []sdk.Field
	unchecked           bool
}

func (r resource) stream() sdk.Stream {
	return sdk.Stream{
		Name: r.name, Key: []string{"sourcedId"}, Subject: r.subject, Deletes: contract.DeletesAbsence,
		Fields: append([]sdk.Field{{Name: "sourcedId", Type: contract.String}, text("dateLastModified")}, r.fields...),
	}
}

var streams = []resource{
	{
		name: "user", path: rostering + "users", records: "users", subject: "sourcedId", ask: "username,identifier,enabledUser,email,userIds,roles,primaryOrg",
		fields: []sdk.Field{text("username"), text("identifier"), truth("enabledUser"), text("email"), reference("primaryOrg"),
			list("userIds", text("type"), text("identifier")),
			list("roles", text("roleType"), text("role"), text("beginDate"), text("endDate"), reference("org"))},
	},
	{
		name: "org", path: rostering + "orgs", records: "orgs", ask: "name,type,identifier,parent",
		fields: []sdk.Field{text("name"), text("type"), text("identifier"), reference("parent")},
	},
	{
		name: "academic_session", path: rostering + "academicSessions", records: "academicSessions", ask: "title,type,startDate,endDate,schoolYear,parent",
		fields: []sdk.Field{text("title"), text("type"), text("startDate"), text("endDate"), text("schoolYear"), reference("parent")},
	},
	{
		name: "course", path: rostering + "courses", records: "courses", ask: "title,courseCode,org",
		fields: []sdk.Field{text("title"), text("courseCode"), reference("org")},
	},
	{
		name: "class", path: rostering + "classes", records: "classes", ask: "title,classCode,classType,course,school,terms",
		fields: []sdk.Field{text("title"), text("classCode"), text("classType"), reference("course"), reference("school"), list("terms", text("sourcedId"))},
	},
	{
		name: "enrollment", path: rostering + "enrollments", records: "enrollments", subject: "user.sourcedId", ask: "role,primary,beginDate,endDate,user,class,school",
		fields: []sdk.Field{text("role"), truth("primary"), text("beginDate"), text("endDate"), needed(reference("user")), needed(reference("class")), reference("school")},
	},
	{
		name: "line_item", path: gradebook + "lineItems", records: "lineItems", ask: "title,dueDate,class,resultValueMin,resultValueMax", unchecked: true,
		fields: []sdk.Field{text("title"), text("dueDate"), reference("class"), decimal("resultValueMin"), decimal("resultValueMax")},
	},
	{
		name: "result", path: gradebook + "results", records: "results", subject: "student.sourcedId", ask: "lineItem,student,score,scoreStatus,scoreDate", unchecked: true,
		fields: []sdk.Field{needed(reference("lineItem")), needed(reference("student")), decimal("score"), text("scoreStatus"), text("scoreDate")},
	},
}

func text(name string) sdk.Field  { return sdk.Field{Name: name, Type: contract.String, Optional: true} }
func truth(name string) sdk.Field { return sdk.Field{Name: name, Type: contract.Bool, Optional: true} }
func decimal(name string) sdk.Field {
	return sdk.Field{Name: name, Type: contract.Double, Optional: true}
}

// reference is how a record names another.
func reference(name string) sdk.Field {
	return sdk.Field{Name: name, Type: contract.Object, Optional: true, Fields: []sdk.Field{{Name: "sourcedId", Type: contract.String}}}
}

func needed(f sdk.Field) sdk.Field {
	f.Optional = false
	return f
}

func list(name string, fields ...sdk.Field) sdk.Field {
	return sdk.Field{Name: name, Type: contract.List, Optional: true, Elem: &sdk.Field{Type: contract.Object, Fields: fields}}
}
