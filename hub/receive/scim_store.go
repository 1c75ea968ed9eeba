package receive

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"reflect"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/scim2/filter-parser/v2"

	"github.com/lrshub/lrshub/hub/audit"
	"github.com/lrshub/lrshub/hub/connection"
	"github.com/lrshub/lrshub/hub/database"
	"github.com/lrshub/lrshub/hub/ingest"
	"github.com/lrshub/lrshub/plugins/contract"
	"github.com/lrshub/lrshub/plugins/host"
	"github.com/lrshub/lrshub/plugins/sdk/scim"
)

const defaultCount = 100 // resources of a list

// stored is a resource with its content.
type stored struct {
	connection.Resource
	record map[string]any
}

var errNoResource = problem{Status: http.StatusNotFound, Reason: "no_resource", Detail: "there is no resource with this id"}

// read reads resources back: it opens their content and tells the audit log whom it shows, in one transaction. find gives which.
func (f *Face) read(ctx context.Context, p *provided, find func(context.Context, *database.Tx) ([]connection.Resource, error)) (list []stored, err error) {
	err = f.DB.Tenant(ctx, p.tenant, func(ctx context.Context, tx *database.Tx) error {
		list = nil
		found, err := find(ctx, tx)
		if err != nil || len(found) == 0 {
			return err
		}
		number, err := connection.Stream(ctx, tx, p.ID, p.stream.Name)
		if err != nil {
			return err
		}
		keys := make([][]byte, len(found))
		for i, r := range found {
			keys[i] = r.Key
		}
		contents, err := connection.Lookup(ctx, tx, f.Vault, p.ID, number, keys)
		if err != nil {
			return err
		}
		for _, r := range found {
			text, there := contents[string(r.Key)]
			if !there {
				continue // of somebody who was erased
			}
			one := stored{Resource: r}
			if err := json.Unmarshal(text, &one.record); err != nil {
				return errors.New("the content of a resource is not what was sealed")
			}
			list = append(list, one)
		}
		subjects, err := connection.SubjectsOf(ctx, tx, p.ID, number, keys)
		if err != nil {
			return err
		}
		return audit.Record(ctx, tx, f.Now(), audit.Event{Kind: audit.ProvisionedRead, Actor: p.actor, Purpose: p.Purpose, Subjects: subjects,
			Fields: map[string]any{"connection": p.ID, "resources": len(list)}})
	})
	return list, err
}

// one reads the resource that a request names.
func (f *Face) one(ctx context.Context, p *provided) (stored, error) {
	id, err := p.resourceID()
	if err != nil {
		return stored{}, errNoResource
	}
	list, err := f.read(ctx, p, func(ctx context.Context, tx *database.Tx) ([]connection.Resource, error) {
		r, err := connection.GetResource(ctx, tx, p.ID, p.stream.Name, id)
		return []connection.Resource{r}, err
	})
	if errors.Is(err, connection.ErrNoResource) || err == nil && len(list) == 0 {
		return stored{}, errNoResource
	}
	if err != nil {
		return stored{}, err
	}
	return list[0], nil
}

func (f *Face) getResource(ctx context.Context, p *provided) (connection.Answer, error) {
	r, err := f.one(ctx, p)
	if err != nil {
		return connection.Answer{}, err
	}
	if match := p.Header.Get("If-None-Match"); match != "" && matches(match, r.Version) {
		return connection.Answer{Status: http.StatusNotModified, Header: http.Header{"Etag": {etag(r.Version)}}}, nil
	}
	return p.show(http.StatusOK, r)
}

func etag(version int) string { return fmt.Sprintf(`W/"%d"`, version) }

// matches says whether a list of ETags has that of a version.
func matches(header string, version int) bool {
	for tag := range strings.SplitSeq(header, ",") {
		if tag = strings.TrimSpace(tag); tag == "*" || strings.TrimPrefix(tag, "W/") == strings.TrimPrefix(etag(version), "W/") {
			return true
		}
	}
	return false
}

// full is a resource as the provider is shown it.
func (p *provided) full(r stored) map[string]any {
	full := scim.Full(p.stream, r.record)
	path, name := "Groups", "Group"
	if p.stream.Name == scim.UserStream {
		path, name = "Users", "User"
	}
	full["id"] = r.ID.String()
	full["meta"] = map[string]any{
		"resourceType": name, "created": r.CreatedAt.UTC().Format(time.RFC3339Nano), "lastModified": r.ModifiedAt.UTC().Format(time.RFC3339Nano),
		"version": etag(r.Version), "location": p.base + "/" + path + "/" + r.ID.String(),
	}
	p.chosen(full)
	return full
}

// chosen leaves out what attributes and excludedAttributes leave out (RFC 7644, section 3.9), by whole attributes.
func (p *provided) chosen(full map[string]any) {
	query := p.URL.Query()
	named := func(list, name string) bool {
		for one := range strings.SplitSeq(list, ",") {
			one = strings.TrimSpace(one)
			if strings.EqualFold(one, name) || len(one) > len(name) && strings.EqualFold(one[:len(name)], name) && (one[len(name)] == '.' || one[len(name)] == ':') {
				return true
			}
		}
		return false
	}
	only, without := query.Get("attributes"), query.Get("excludedAttributes")
	for name := range full {
		if name == "id" || name == "schemas" || name == "meta" {
			continue
		}
		if only != "" && !named(only, name) || only == "" && named(without, name) {
			delete(full, name)
		}
	}
}

func (p *provided) show(status int, r stored) (connection.Answer, error) {
	full := p.full(r)
	answer, err := reply(status, full)
	answer.Header.Set("Etag", etag(r.Version))
	if status == http.StatusCreated {
		answer.Header.Set("Location", full["meta"].(map[string]any)["location"].(string))
	}
	return answer, err
}

// listResources lists, filtered and paged.
func (f *Face) listResources(ctx context.Context, p *provided) (connection.Answer, error) {
	query := p.URL.Query()
	wanted, err := f.wanted(p, query.Get("filter"))
	if err != nil {
		return connection.Answer{}, err
	}
	start, count := 1, defaultCount
	for name, into := range map[string]*int{"startIndex": &start, "count": &count} {
		if text := query.Get(name); text != "" {
			if *into, err = strconv.Atoi(text); err != nil {
				return connection.Answer{}, problem{Status: http.StatusBadRequest, Reason: "data", Type: "invalidValue", Detail: name + " is not a number"}
			}
		}
	}
	start, count = max(start, 1), min(max(count, 0), maxResults)
	var total int
	list, err := f.read(ctx, p, func(ctx context.Context, tx *database.Tx) (found []connection.Resource, err error) {
		found, total, err = connection.ListResources(ctx, tx, p.ID, p.stream.Name, wanted, start-1, count)
		return found, err
	})
	if err != nil {
		return connection.Answer{}, err
	}
	resources := make([]any, len(list))
	for i, r := range list {
		resources[i] = p.full(r)
	}
	return reply(http.StatusOK, map[string]any{"schemas": []string{scim.ListMessage}, "totalResults": total, "startIndex": start, "itemsPerPage": len(list), "Resources": resources})
}

// wanted reads a filter: one comparison by eq, of what resources are found by.
func (f *Face) wanted(p *provided, text string) (connection.Wanted, error) {
	var w connection.Wanted
	if text == "" {
		return w, nil
	}
	invalid := problem{Status: http.StatusBadRequest, Reason: "data", Type: "invalidFilter", Detail: `this service filters by userName, externalId, displayName or id: write userName eq "…"`}
	parsed, err := filter.ParseFilter([]byte(text))
	if err != nil {
		return w, invalid
	}
	e, ok := parsed.(*filter.AttributeExpression)
	if !ok || !strings.EqualFold(string(e.Operator), string(filter.EQ)) || e.AttributePath.SubAttribute != nil {
		return w, invalid
	}
	value, ok := e.CompareValue.(string)
	if !ok {
		return w, invalid
	}
	switch strings.ToLower(e.AttributePath.AttributeName) {
	case "username":
		w.Name = p.index("name", strings.ToLower(value))
	case "externalid":
		w.ExternalID = p.index("external", value)
	case "displayname":
		w.Label = p.index("label", strings.ToLower(value))
	case "id":
		id, err := uuid.Parse(value)
		if err != nil {
			id = uuid.New() // what is no id is nobody's
		}
		w.ID = id[:]
	default:
		return w, invalid
	}
	return w, nil
}

// index is the keyed digest by which a value is found; nil of nothing.
func (p *provided) index(kind, value string) []byte {
	if value == "" {
		return nil
	}
	return p.keys.Digest("scim", p.ID[:], []byte(p.stream.Name), []byte(kind), []byte(value))[:16]
}

// indexed fills in what a record is found by.
func (p *provided) indexed(r *stored) {
	text := func(name string) string { s, _ := r.record[name].(string); return s }
	r.Name, r.ExternalID = p.index("name", strings.ToLower(text("userName"))), p.index("external", text("externalId"))
	r.Label = p.index("label", strings.ToLower(text("displayName")))
}

// check says whether a record can stand: it has what its type must have.
func (p *provided) check(record map[string]any) error {
	must := "displayName"
	if p.stream.Name == scim.UserStream {
		must = "userName"
	}
	if text, _ := record[must].(string); text == "" {
		return problem{Status: http.StatusBadRequest, Reason: "data", Type: "invalidValue", Detail: must + " is missing"}
	}
	return nil
}

// prune makes the record as it is stored: what the mapping does not name is thrown away here.
func (p *provided) prune(r *stored) (contract.Record, error) {
	r.record["id"] = r.ID.String()
	r.record["meta"] = map[string]any{"created": r.CreatedAt.UTC().Format(time.RFC3339Nano)}
	text, err := json.Marshal(r.record)
	if err != nil {
		return contract.Record{}, err
	}
	pruned, err := host.Prune(p.stream, p.fields, text)
	if err != nil {
		return contract.Record{}, problem{Status: http.StatusBadRequest, Reason: "data", Type: "invalidValue", Detail: err.Error()}
	}
	pruned.Position = "scim"
	r.record = nil
	return contract.Record(pruned), json.Unmarshal(pruned.JSON, &r.record)
}

// store stores a record by the road in, and what done says of the resource with it.
func (f *Face) store(ctx context.Context, p *provided, record contract.Record, done func(context.Context, *database.Tx) error) error {
	id, pages := uuid.New(), []ingest.PushedPage{{Stream: p.stream, Page: contract.Page{Records: []contract.Record{record}}}}
	_, err := f.Ingest.Push(ctx, ingest.Push{
		Tenant: p.tenant, Connection: p.ID, ID: id, Purpose: p.Purpose, Mapping: p.line.mapping, MappingVersion: p.Mapping, Whole: true, Pages: pages,
		Done: func(ctx context.Context, tx *database.Tx) error {
			if err := f.heard(ctx, tx, p.source, p.line, id, pages); err != nil {
				return err
			}
			return done(ctx, tx)
		},
	})
	if errors.Is(err, connection.ErrNameTaken) {
		return problem{Status: http.StatusConflict, Reason: "taken", Type: "uniqueness", Detail: "another resource has this name: look for it with a filter, and change that one"}
	}
	return err
}

func (f *Face) createResource(ctx context.Context, p *provided) (connection.Answer, error) {
	now := f.Now().UTC().Truncate(time.Microsecond)
	r := stored{Resource: connection.Resource{ID: uuid.New(), Version: 1, CreatedAt: now, ModifiedAt: now}, record: scim.Plain(p.stream, p.body)}
	if err := p.check(r.record); err != nil {
		return connection.Answer{}, err
	}
	record, err := p.prune(&r)
	if err != nil {
		return connection.Answer{}, err
	}
	p.indexed(&r)
	r.Key = p.keys.RecordKey(p.ID, p.stream.Name, record.Key)
	err = f.store(ctx, p, record, func(ctx context.Context, tx *database.Tx) error {
		return connection.AddResource(ctx, tx, p.ID, p.stream.Name, r.Resource)
	})
	if err != nil {
		return connection.Answer{}, err
	}
	return p.show(http.StatusCreated, r)
}

// unchanged says whether a request's If-Match lets a version be changed.
func (p *provided) unchanged(r stored) error {
	if match := p.Header.Get("If-Match"); match != "" && !matches(match, r.Version) {
		return problem{Status: http.StatusPreconditionFailed, Reason: "version", Detail: "the resource has another version by now: read it again"}
	}
	return nil
}

// replaced is a PUT (RFC 7644, section 3.5.1).
func replaced(p *provided, _ map[string]any) (map[string]any, error) {
	return scim.Plain(p.stream, p.body), nil
}

// changeResource makes the next version of a resource.
func (f *Face) changeResource(ctx context.Context, p *provided, change func(p *provided, old map[string]any) (map[string]any, error)) (connection.Answer, error) {
	r, err := f.one(ctx, p)
	if err == nil {
		err = p.unchanged(r)
	}
	if err != nil {
		return connection.Answer{}, err
	}
	before := r.record
	if r.record, err = change(p, copied(before)); err != nil {
		return connection.Answer{}, err
	}
	if err := p.check(r.record); err != nil {
		return connection.Answer{}, err
	}
	record, err := p.prune(&r)
	if err != nil {
		return connection.Answer{}, err
	}
	if reflect.DeepEqual(before, r.record) {
		return p.show(http.StatusOK, r) // nothing of it is kept, or it is the same
	}
	p.indexed(&r)
	now := f.Now().UTC().Truncate(time.Microsecond)
	err = f.store(ctx, p, record, func(ctx context.Context, tx *database.Tx) error {
		return connection.ChangeResource(ctx, tx, p.ID, p.stream.Name, r.Resource, now)
	})
	if err != nil {
		return connection.Answer{}, err
	}
	r.Version, r.ModifiedAt = r.Version+1, now
	return p.show(http.StatusOK, r)
}

func (f *Face) deleteResource(ctx context.Context, p *provided) (connection.Answer, error) {
	r, err := f.one(ctx, p)
	if err == nil {
		err = p.unchanged(r)
	}
	if err != nil {
		return connection.Answer{}, err
	}
	key, err := contract.Key(r.ID.String())
	if err != nil {
		return connection.Answer{}, err
	}
	err = f.store(ctx, p, contract.Record{Key: key, Deleted: true, Position: "scim"}, func(ctx context.Context, tx *database.Tx) error {
		return connection.RemoveResource(ctx, tx, p.ID, p.stream.Name, r.Resource)
	})
	return connection.Answer{Status: http.StatusNoContent}, err
}
