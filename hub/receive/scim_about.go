package receive

import (
	"strings"

	"github.com/lrshub/lrshub/plugins/contract"
	"github.com/lrshub/lrshub/plugins/sdk/scim"
)

// maxResults bounds a list.
const maxResults = 500

// about answers what the service says of itself (RFC 7644, section 4); nil: the path is none of these.
func (f *Face) about(p *provided, first, rest string) any {
	switch {
	case first == "ServiceProviderConfig" && rest == "":
		return f.serviceProvider(p)
	case first == "ResourceTypes":
		return among(rest, "id", resourceTypes(p))
	case first == "Schemas":
		return among(rest, "id", schemas(p))
	}
	return nil
}

// among gives the list, or the one that is asked for.
func among(wanted, by string, list []map[string]any) any {
	if wanted == "" {
		return map[string]any{"schemas": []string{scim.ListMessage}, "totalResults": len(list), "startIndex": 1, "itemsPerPage": len(list), "Resources": list}
	}
	for _, one := range list {
		if one[by] == wanted {
			return one
		}
	}
	return nil
}

func (f *Face) serviceProvider(p *provided) any {
	no := map[string]any{"supported": false}
	return map[string]any{
		"schemas": []string{"urn:ietf:params:scim:schemas:core:2.0:ServiceProviderConfig"},
		"patch":   map[string]any{"supported": true}, "etag": map[string]any{"supported": true},
		"bulk":   map[string]any{"supported": false, "maxOperations": 0, "maxPayloadSize": 0},
		"filter": map[string]any{"supported": true, "maxResults": maxResults}, "changePassword": no, "sort": no,
		"pagination": map[string]any{"cursor": false, "index": true, "defaultPaginationMethod": "index", "defaultPageSize": defaultCount, "maxPageSize": maxResults},
		"authenticationSchemes": []any{map[string]any{
			"type": "oauthbearertoken", "name": "Bearer token", "primary": true, "description": "provider_token of the connection, or a token of a client of the hub with the scope provisioning",
		}},
		"meta": map[string]any{"resourceType": "ServiceProviderConfig", "location": p.base + "/ServiceProviderConfig"},
	}
}

func resourceTypes(p *provided) []map[string]any {
	var list []map[string]any
	for _, path := range []string{"Users", "Groups"} {
		e := endpoints[path]
		one := map[string]any{
			"schemas": []string{"urn:ietf:params:scim:schemas:core:2.0:ResourceType"}, "id": e.name, "name": e.name, "endpoint": "/" + path, "schema": e.schema,
			"meta": map[string]any{"resourceType": "ResourceType", "location": p.base + "/ResourceTypes/" + e.name},
		}
		if e.name == "User" {
			one["schemaExtensions"] = []any{map[string]any{"schema": scim.EnterpriseSchema, "required": false}}
		}
		list = append(list, one)
	}
	return list
}

// schemas shows the attributes that are kept, and no others: a provider need not send what is thrown away.
func schemas(p *provided) []map[string]any {
	var list []map[string]any
	add := func(id, name string, fields []contract.Field, keeps func(string) bool, prefix string) {
		list = append(list, map[string]any{
			"schemas": []string{"urn:ietf:params:scim:schemas:core:2.0:Schema"}, "id": id, "name": name, "attributes": attributes(fields, keeps, prefix),
			"meta": map[string]any{"resourceType": "Schema", "location": p.base + "/Schemas/" + id},
		})
	}
	for _, path := range []string{"Users", "Groups"} {
		e := endpoints[path]
		stream, known := p.line.about.Stream(e.stream)
		if !known {
			continue
		}
		keeps := keeper(kept(stream, p.line.mapping.Fields(e.stream)))
		var core []contract.Field
		for _, field := range stream.Fields {
			switch field.Name {
			case "id", "externalId", "meta": // common attributes
			case scim.Enterprise:
				add(scim.EnterpriseSchema, "EnterpriseUser", field.Fields, keeps, scim.Enterprise+".")
			default:
				core = append(core, field)
			}
		}
		add(e.schema, e.name, core, keeps, "")
	}
	return list
}

// keeper says of a path whether it, something below it, or something above it is kept.
func keeper(fields []string) func(string) bool {
	return func(path string) bool {
		for _, field := range fields {
			if field == path || strings.HasPrefix(field, path+".") || strings.HasPrefix(path, field+".") {
				return true
			}
		}
		return false
	}
}

// attributes describes fields as RFC 7643 does in section 7.
func attributes(fields []contract.Field, keeps func(string) bool, prefix string) []map[string]any {
	list := []map[string]any{}
	for _, field := range fields {
		path := prefix + field.Name
		if !keeps(path) {
			continue
		}
		one := map[string]any{
			"name": field.Name, "multiValued": field.Type == contract.List, "required": path == "userName", "caseExact": false, "mutability": "readWrite", "returned": "default",
			"uniqueness": "none", "type": "string", "description": "",
		}
		if path == "userName" {
			one["uniqueness"] = "server"
		}
		below := field
		if field.Type == contract.List {
			below = *field.Elem
		}
		switch below.Type {
		case contract.Object:
			one["type"], one["subAttributes"] = "complex", attributes(below.Fields, keeps, path+".")
		case contract.Bool:
			one["type"] = "boolean"
		}
		list = append(list, one)
	}
	return list
}
