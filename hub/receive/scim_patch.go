package receive

import (
	"net/http"
	"strings"

	"github.com/scim2/filter-parser/v2"

	"github.com/lrshub/lrshub/plugins/contract"
	"github.com/lrshub/lrshub/plugins/sdk/scim"
)

// maxOperations bounds a PATCH.
const maxOperations = 1000

func invalidPatch(word, detail string) error {
	return problem{Status: http.StatusBadRequest, Reason: "data", Type: word, Detail: detail}
}

// patched is a PATCH (RFC 7644, section 3.5.2), as its text has it and as Entra and Okta send it: operations in any case, paths as names of members of a value, members
// to be removed as a value. Attributes that no record has are passed over.
func patched(p *provided, record map[string]any) (map[string]any, error) {
	operations, ok := member(p.body, "Operations").([]any)
	if !ok || len(operations) == 0 || len(operations) > maxOperations {
		return nil, invalidPatch("invalidSyntax", "a PATCH has Operations, a list of 1 to 1000")
	}
	for _, each := range operations {
		operation, ok := each.(map[string]any)
		if !ok {
			return nil, invalidPatch("invalidSyntax", "an operation is not an object")
		}
		op, _ := member(operation, "op").(string)
		op = strings.ToLower(op)
		if op != "add" && op != "replace" && op != "remove" {
			return nil, invalidPatch("invalidSyntax", "op is add, replace or remove")
		}
		path, _ := member(operation, "path").(string)
		if err := p.apply(record, op, path, member(operation, "value")); err != nil {
			return nil, err
		}
	}
	return scim.Plain(p.stream, record), nil
}

// member finds a member whatever the case of its name.
func member(object map[string]any, name string) any {
	if value, there := object[name]; there {
		return value
	}
	for n, value := range object {
		if strings.EqualFold(n, name) {
			return value
		}
	}
	return nil
}

// apply does one operation. Without a path it is one for each member of its value.
func (p *provided) apply(record map[string]any, op, path string, value any) error {
	if path != "" {
		return p.applyAt(record, op, path, value)
	}
	members, ok := value.(map[string]any)
	if !ok || op == "remove" {
		return invalidPatch("noTarget", "an operation without a path has an object as its value, and does not remove")
	}
	for name, one := range members {
		if strings.EqualFold(name, "schemas") {
			continue
		}
		if strings.EqualFold(name, scim.EnterpriseSchema) {
			below, ok := one.(map[string]any)
			if !ok {
				return invalidPatch("invalidValue", "the enterprise extension is not an object")
			}
			for attribute, v := range below {
				if err := p.applyAt(record, op, scim.EnterpriseSchema+":"+attribute, v); err != nil {
					return err
				}
			}
			continue
		}
		if err := p.applyAt(record, op, name, one); err != nil {
			return err
		}
	}
	return nil
}

// applyAt does one operation at a path.
func (p *provided) applyAt(record map[string]any, op, path string, value any) error {
	at, err := filter.ParsePath([]byte(path))
	if err != nil {
		return invalidPatch("invalidPath", "a path is like name.givenName, emails[type eq \"work\"].value or "+scim.EnterpriseSchema+":department")
	}
	fields := p.stream.Fields
	if at.AttributePath.URIPrefix != nil && strings.EqualFold(strings.TrimSuffix(*at.AttributePath.URIPrefix, ":"), scim.EnterpriseSchema) {
		extension, known := scim.Find(fields, scim.Enterprise)
		if !known {
			return nil
		}
		fields, record = extension.Fields, objectAt(record, scim.Enterprise)
	}
	field, known := scim.Find(fields, at.AttributePath.AttributeName)
	if !known || field.Name == "id" || field.Name == "meta" {
		return nil
	}
	sub := at.SubAttribute
	if sub == nil {
		sub = at.AttributePath.SubAttribute
	}
	if field.Type == contract.List {
		return applyList(record, field, op, at.ValueExpression, sub, value)
	}
	if sub != nil {
		if below, known := scim.Find(field.Fields, *sub); known {
			set(objectAt(record, field.Name), below.Name, op, value)
		}
		return nil
	}
	if old, isObject := record[field.Name].(map[string]any); isObject && op == "add" {
		if more, ok := value.(map[string]any); ok {
			for name, one := range more {
				if below, known := scim.Find(field.Fields, name); known {
					old[below.Name] = one
				}
			}
			return nil
		}
	}
	set(record, field.Name, op, value)
	return nil
}

// objectAt gives a member that is an object, and makes it if there is none.
func objectAt(object map[string]any, name string) map[string]any {
	below, ok := object[name].(map[string]any)
	if !ok {
		below = map[string]any{}
		object[name] = below
	}
	return below
}

// set sets or removes one value. Null is no value (RFC 7643, section 2.5).
func set(object map[string]any, name, op string, value any) {
	if op == "remove" || value == nil {
		delete(object, name)
		return
	}
	object[name] = value
}

// applyList does one operation on an attribute with several values.
func applyList(record map[string]any, field contract.Field, op string, which filter.Expression, sub *string, value any) error {
	old, _ := record[field.Name].([]any)
	if which == nil {
		record[field.Name] = wholeList(old, op, listOf(value))
		return nil
	}
	var list []any
	found := false
	for _, element := range old {
		object, ok := element.(map[string]any)
		if !ok {
			continue
		}
		match, err := holds(which, object)
		if err != nil {
			return err
		}
		if match {
			found = true
			if object = changedElement(object, field, op, sub, value); object == nil {
				continue
			}
		}
		list = append(list, object)
	}
	if !found && op != "remove" { // Entra replaces what is not there yet
		if made := changedElement(named(which), field, op, sub, value); made != nil {
			list = append(list, made)
		}
	}
	record[field.Name] = list
	return nil
}

// changedElement gives an element after an operation; nil: it is gone.
func changedElement(element map[string]any, field contract.Field, op string, sub *string, value any) map[string]any {
	if sub != nil {
		if below, known := scim.Find(field.Elem.Fields, *sub); known {
			element = copied(element)
			set(element, below.Name, op, value)
		}
		return element
	}
	if op == "remove" {
		return nil
	}
	more, ok := value.(map[string]any)
	if !ok {
		return element
	}
	if op == "replace" {
		return more
	}
	element = copied(element)
	for name, one := range more {
		element[name] = one
	}
	return element
}

// wholeList adds to, replaces or removes from a list. What is removed as a value is found by its value.
func wholeList(old []any, op string, given []any) []any {
	value := func(element any) any {
		object, _ := element.(map[string]any)
		return member(object, "value")
	}
	has := func(list []any, element any) bool {
		for _, one := range list {
			if v := value(one); v != nil && v == value(element) {
				return true
			}
		}
		return false
	}
	switch op {
	case "replace":
		return given
	case "remove":
		if given == nil {
			return nil
		}
		var left []any
		for _, element := range old {
			if !has(given, element) {
				left = append(left, element)
			}
		}
		return left
	}
	list := append([]any{}, old...)
	for _, element := range given {
		if !has(list, element) {
			list = append(list, element)
		}
	}
	return list
}

func listOf(value any) []any {
	switch v := value.(type) {
	case nil:
		return nil
	case []any:
		return v
	}
	return []any{value}
}

// copied is a copy that can be changed without changing the other, as deep as records are.
func copied(object map[string]any) map[string]any {
	made := make(map[string]any, len(object))
	for name, value := range object {
		if below, ok := value.(map[string]any); ok {
			value = copied(below)
		}
		made[name] = value
	}
	return made
}

// named is the element that an expression of comparisons by eq describes.
func named(e filter.Expression) map[string]any {
	object := map[string]any{}
	switch e := e.(type) {
	case *filter.AttributeExpression:
		if strings.EqualFold(string(e.Operator), string(filter.EQ)) {
			object[e.AttributePath.AttributeName] = e.CompareValue
		}
	case *filter.LogicalExpression:
		for _, side := range []filter.Expression{e.Left, e.Right} {
			for name, value := range named(side) {
				object[name] = value
			}
		}
	}
	return object
}

// holds says whether an element is what an expression says.
func holds(e filter.Expression, element map[string]any) (bool, error) {
	switch e := e.(type) {
	case *filter.NotExpression:
		one, err := holds(e.Expression, element)
		return !one, err
	case *filter.LogicalExpression:
		left, err := holds(e.Left, element)
		if err != nil {
			return false, err
		}
		right, err := holds(e.Right, element)
		if strings.EqualFold(string(e.Operator), string(filter.AND)) {
			return left && right, err
		}
		return left || right, err
	case *filter.AttributeExpression:
		value := member(element, e.AttributePath.AttributeName)
		same := value == e.CompareValue
		if text, ok := value.(string); ok {
			if other, ok := e.CompareValue.(string); ok {
				same = strings.EqualFold(text, other)
			}
		}
		switch filter.CompareOperator(strings.ToLower(string(e.Operator))) {
		case filter.EQ:
			return same, nil
		case filter.NE:
			return !same, nil
		case filter.PR:
			return value != nil, nil
		}
	}
	return false, invalidPatch("invalidFilter", "a value is chosen with eq, ne or pr, and, or, not")
}
