// Package scim has what a connector that pulls by SCIM 2.0 and a server that is pushed to have in common: the streams of users and groups, and how a resource
// (RFC 7643) becomes a record of them and back. A record is a resource with the names of its attributes as the RFC writes them, the enterprise extension as the
// object "enterprise", and nothing that the stream does not know. Start with Plain.
package scim

import (
	"strings"

	"github.com/lrshub/lrshub/plugins/contract"
)

// Schemas (RFC 7643, section 10.3.1) and messages (RFC 7644, section 8.2).
const (
	UserSchema       = "urn:ietf:params:scim:schemas:core:2.0:User"
	GroupSchema      = "urn:ietf:params:scim:schemas:core:2.0:Group"
	EnterpriseSchema = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User"
	ListMessage      = "urn:ietf:params:scim:api:messages:2.0:ListResponse"
	PatchMessage     = "urn:ietf:params:scim:api:messages:2.0:PatchOp"
	ErrorMessage     = "urn:ietf:params:scim:api:messages:2.0:Error"
)

// The streams, by name.
const (
	UserStream  = "users"
	GroupStream = "groups"
)

// Enterprise is the member of a record that holds the enterprise extension.
const Enterprise = "enterprise"

// Users describes users. Passwords, certificates, photos, addresses and telephone numbers are left out: no mapping can name them.
func Users() contract.Stream {
	return contract.Stream{
		Name: UserStream, Key: []string{"id"}, Subject: "id", Mode: contract.Snapshot, Deletes: contract.DeletesAbsence,
		Fields: []contract.Field{
			{Name: "id", Type: contract.String}, text("externalId"), text("userName"), {Name: "active", Type: contract.Bool, Optional: true},
			text("displayName"), text("title"), text("userType"), text("preferredLanguage"), text("locale"), text("timezone"),
			object("name", text("formatted"), text("givenName"), text("familyName")),
			list("emails", text("value"), text("type"), contract.Field{Name: "primary", Type: contract.Bool, Optional: true}),
			list("roles", text("value"), text("type"), text("display"), contract.Field{Name: "primary", Type: contract.Bool, Optional: true}),
			list("groups", text("value"), text("type"), text("display")),
			object(Enterprise, text("employeeNumber"), text("costCenter"), text("organization"), text("division"), text("department"),
				object("manager", text("value"), text("displayName"))),
			object("meta", text("created"), text("lastModified"), text("resourceType")),
		},
	}
}

// Groups describes groups and who is in them.
func Groups() contract.Stream {
	return contract.Stream{
		Name: GroupStream, Key: []string{"id"}, Mode: contract.Snapshot, Deletes: contract.DeletesAbsence,
		Fields: []contract.Field{
			{Name: "id", Type: contract.String}, text("externalId"), text("displayName"),
			list("members", text("value"), text("type"), text("display")),
			object("meta", text("created"), text("lastModified"), text("resourceType")),
		},
	}
}

func text(name string) contract.Field {
	return contract.Field{Name: name, Type: contract.String, Optional: true}
}

func object(name string, fields ...contract.Field) contract.Field {
	return contract.Field{Name: name, Type: contract.Object, Fields: fields, Optional: true}
}

func list(name string, fields ...contract.Field) contract.Field {
	return contract.Field{Name: name, Type: contract.List, Optional: true, Elem: &contract.Field{Type: contract.Object, Fields: fields}}
}

// Plain makes a record of a resource: an object as encoding/json decodes it. What the stream does not know is left out. Names of attributes are found whatever their
// case (RFC 7643, section 2.1), truth values also as texts, and numbers where texts belong, as some providers send them.
func Plain(stream contract.Stream, resource map[string]any) map[string]any {
	if stream.Name == UserStream {
		for name, value := range resource {
			if strings.EqualFold(name, EnterpriseSchema) {
				resource = with(resource, Enterprise, value)
			}
		}
	}
	return plainObject(stream.Fields, resource)
}

func with(object map[string]any, name string, value any) map[string]any {
	copied := make(map[string]any, len(object)+1)
	for n, v := range object {
		copied[n] = v
	}
	copied[name] = value
	return copied
}

func plainObject(fields []contract.Field, object map[string]any) map[string]any {
	plain := map[string]any{}
	for name, value := range object {
		field, known := Find(fields, name)
		if !known {
			continue
		}
		if one := plainValue(field, value); one != nil {
			plain[field.Name] = one
		}
	}
	return plain
}

// Find finds an attribute, whatever the case of its name.
func Find(fields []contract.Field, name string) (contract.Field, bool) {
	for _, f := range fields {
		if strings.EqualFold(f.Name, name) {
			return f, true
		}
	}
	return contract.Field{}, false
}

// plainValue gives a value as its field wants it; nil: there is none. A value of another kind is given as it is, for whoever checks the record.
func plainValue(field contract.Field, value any) any {
	switch field.Type {
	case contract.Object:
		switch v := value.(type) {
		case map[string]any:
			if plain := plainObject(field.Fields, v); len(plain) > 0 {
				return plain
			}
			return nil
		case string: // a manager, as some providers send it
			if v == "" {
				return nil
			}
			if _, ok := Find(field.Fields, "value"); ok {
				return map[string]any{"value": v}
			}
		}
	case contract.List:
		elements, ok := value.([]any)
		if !ok {
			if one, single := value.(map[string]any); single { // one value that stands for a list of it
				elements = []any{one}
			} else {
				return value
			}
		}
		plain := make([]any, 0, len(elements))
		for _, element := range elements {
			if text, ok := element.(string); ok {
				element = map[string]any{"value": text}
			}
			if one := plainValue(*field.Elem, element); one != nil {
				plain = append(plain, one)
			}
		}
		if len(plain) == 0 {
			return nil
		}
		return plain
	case contract.Bool:
		if text, ok := value.(string); ok {
			switch strings.ToLower(text) {
			case "true":
				return true
			case "false":
				return false
			}
		}
	case contract.String:
		if number, ok := value.(interface{ Int64() (int64, error) }); ok { // a json.Number: an employee's, say
			return number.(interface{ String() string }).String()
		}
	}
	return value
}

// Full makes a resource of a record: what Plain took apart, put together again, with its schemas.
func Full(stream contract.Stream, record map[string]any) map[string]any {
	full := make(map[string]any, len(record)+1)
	for name, value := range record {
		full[name] = value
	}
	if stream.Name != UserStream {
		full["schemas"] = []string{GroupSchema}
		return full
	}
	full["schemas"] = []string{UserSchema}
	if extension, there := full[Enterprise]; there {
		delete(full, Enterprise)
		full[EnterpriseSchema] = extension
		full["schemas"] = []string{UserSchema, EnterpriseSchema}
	}
	return full
}
