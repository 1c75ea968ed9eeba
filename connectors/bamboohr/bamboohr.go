// Package bamboohr is the connector for BambooHR: employees by its feed of changes, the history tables of jobs and of employment, and training records. Start
// reading at New; convert.go makes records of what the API gives.
package bamboohr

import (
	"context"
	_ "embed"
	"errors"
	"net/http"
	"net/url"

	"github.com/lrshub/lrshub/plugins/contract"
	"github.com/lrshub/lrshub/plugins/sdk"
	"github.com/lrshub/lrshub/plugins/sdk/rest"
)

//go:embed config.schema.json
var configSchema string

// everything asks the feed of changes for every employee that there is or was.
const everything = "/employees/changed?since=1970-01-01T00:00:00Z"

// New makes the connector.
func New() sdk.Connector {
	return rest.Connector{
		About: sdk.Description{
			Name: "bamboohr", Version: "1.0.0", Summary: "BambooHR: employees, their jobs and employment over time, training records",
			ConfigSchema: configSchema,
			Auth:         []sdk.Auth{{Kind: contract.AuthUser, Name: "x", Secret: "key"}}, // the key is the user, the password is not looked at
			Rate:         5,
		},
		Base: "{url}/api/v1",
		Streams: []rest.Stream{
			{
				Stream: employeeStream, Path: everything, Records: "employees.*", Fetch: employee, Gone: isGone,
				Window: &rest.Window{Since: "since", Updated: "changed"},
			},
			{Stream: jobStream, Path: "/employees/all/tables/jobInfo", Decode: history(job)},
			{Stream: employmentStream, Path: "/employees/all/tables/employmentStatus", Decode: history(employment)},
			{Stream: trainingStream, Path: "/training/record/employee/{part}", Records: "*", Parts: employees, Convert: training, Unchecked: true},
			{Stream: trainingTypeStream, Path: "/training/type", Records: "*", Convert: trainingType, Unchecked: true},
		},
	}
}

var employeeStream = sdk.Stream{
	Name: "employee", Key: []string{"id"}, Subject: "id", Mode: contract.Incremental, Deletes: contract.DeletesTombstone,
	Fields: []sdk.Field{
		text("id"), timestamp("changed"), optional("number"), optional("status"), optional("hired"), optional("left"), optional("title"), optional("department"),
		optional("division"), optional("location"), optional("manager"), optional("mail"),
	},
}

// jobStream and employmentStream have a record for each row: a time in which something held, from a day until the next row's.
var jobStream = sdk.Stream{
	Name: "job", Key: []string{"employee", "row"}, Subject: "employee", Deletes: contract.DeletesAbsence,
	Fields: []sdk.Field{
		text("employee"), text("row"), optional("from"), optional("until"), optional("title"), optional("department"), optional("division"), optional("location"),
		optional("previous_title"), optional("previous_department"), {Name: "first", Type: contract.Bool},
	},
}

var employmentStream = sdk.Stream{
	Name: "employment", Key: []string{"employee", "row"}, Subject: "employee", Deletes: contract.DeletesAbsence,
	Fields: []sdk.Field{
		text("employee"), text("row"), optional("from"), optional("until"), optional("status"), optional("previous_status"), {Name: "first", Type: contract.Bool},
	},
}

var trainingStream = sdk.Stream{
	Name: "training", Key: []string{"id"}, Subject: "employee", Deletes: contract.DeletesAbsence,
	Fields: []sdk.Field{text("id"), text("employee"), text("type"), optional("completed"), optional("credits"), optional("hours")},
}

var trainingTypeStream = sdk.Stream{
	Name: "training_type", Key: []string{"id"}, Deletes: contract.DeletesAbsence,
	Fields: []sdk.Field{text("id"), optional("name"), {Name: "required", Type: contract.Bool, Optional: true}, optional("category")},
}

func text(name string) sdk.Field { return sdk.Field{Name: name, Type: contract.String} }
func optional(name string) sdk.Field {
	return sdk.Field{Name: name, Type: contract.String, Optional: true}
}
func timestamp(name string) sdk.Field { return sdk.Field{Name: name, Type: contract.Timestamp} }

// fields are those of an employee that are asked for; what the key's user may not see is not in the answer.
const fields = "employeeNumber,status,hireDate,terminationDate,jobTitle,department,division,location,supervisorEId,workEmail"

// employee asks for an employee that the feed names, or passes on that it is deleted.
func employee(ctx context.Context, c *rest.Client, element []byte, each func([]byte) error) error {
	id, changed := rest.Text(element, "key"), rest.Text(element, "value.lastChanged")
	if rest.Text(element, "value.action") == "Deleted" {
		return give(each, map[string]any{"id": id, "changed": changed, "deleted": true})
	}
	var known map[string]any
	err := c.JSON(ctx, "/employees/"+url.PathEscape(id), url.Values{"fields": {fields}}, &known)
	var status rest.Status
	if errors.As(err, &status) && status == http.StatusNotFound {
		return nil // deleted since the feed was made: it comes there
	}
	if err != nil {
		return err
	}
	return give(each, pick(map[string]any{"id": id, "changed": changed}, known, map[string]string{
		"number": "employeeNumber", "status": "status", "hired": "hireDate", "left": "terminationDate", "title": "jobTitle", "department": "department",
		"division": "division", "location": "location", "manager": "supervisorEId", "mail": "workEmail",
	}))
}

func isGone(record []byte) bool { return rest.Text(record, "deleted") == "true" }

// employees tells the ids of all who are not deleted.
func employees(ctx context.Context, c *rest.Client, each func(id string) error) error {
	return c.Each(ctx, everything, "employees.*", nil, func(element []byte) error {
		if rest.Text(element, "value.action") == "Deleted" {
			return nil
		}
		return each(rest.Text(element, "key"))
	})
}
