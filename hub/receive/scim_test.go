package receive

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/lrshub/lrshub/hub/access"
	"github.com/lrshub/lrshub/hub/auth"
	"github.com/lrshub/lrshub/hub/connection"
	"github.com/lrshub/lrshub/hub/database"
	"github.com/lrshub/lrshub/hub/people"
)

const scimToken = "zq-provider-token-0000000001"

// provider is an identity provider that pushes to a connection.
type provider struct {
	*world
	connection.Connection
	token string
}

// directory adds a connection that a provider pushes to, with the mapping that comes with the connector.
func (w *world) directory() *provider {
	w.Helper()
	document, err := os.ReadFile("../../connectors/scim/mapping.yaml")
	if err != nil {
		w.Fatal(err)
	}
	c := w.add(other, "directory", "connector: scim\npurpose: learning-records\nconfig: {provider_token: "+scimToken+"}\n"+
		"params: {home_page: https://login.example.org, organization: https://example.org/}\nmapping: |\n  "+strings.ReplaceAll(string(document), "\n", "\n  "))
	return &provider{w, c, scimToken}
}

// ask sends a request and reads the answer.
func (p *provider) ask(method, path, body string, status int, more ...string) map[string]any {
	p.Helper()
	header := map[string]string{"Authorization": "Bearer " + p.token, "Content-Type": "application/scim+json; charset=utf-8"}
	for i := 0; i+1 < len(more); i += 2 {
		header[more[i]] = more[i+1]
	}
	got := p.send(method, "/scim/v2/"+p.ID.String()+path, body, header)
	if got.status != status {
		p.Fatalf("%s %s: %d %s, want %d", method, path, got.status, got.body, status)
	}
	if got.body == "" {
		return nil
	}
	if kind := got.header.Get("Content-Type"); kind != "application/scim+json" {
		p.Errorf("%s %s: Content-Type %q", method, path, kind)
	}
	var answer map[string]any
	if err := json.Unmarshal([]byte(got.body), &answer); err != nil {
		p.Fatalf("%s %s: %v", method, path, err)
	}
	return answer
}

// at reads a value below: at(a, "name", "givenName").
func at(value any, path ...any) any {
	for _, step := range path {
		switch s := step.(type) {
		case string:
			object, _ := value.(map[string]any)
			value = object[s]
		case int:
			list, _ := value.([]any)
			if s >= len(list) {
				return nil
			}
			value = list[s]
		}
	}
	return value
}

// verbs lists the live statements' verbs, by their last word.
func (p *provider) verbs() (list []string) {
	p.Helper()
	p.do(other, func(ctx context.Context, tx *database.Tx) error {
		return tx.SelectContext(ctx, &list, `
SELECT regexp_replace(b.iri, '^.*/', '') FROM statement s JOIN verb b ON b.tenant_id = s.tenant_id AND b.id = s.verb WHERE s.tenant_id = $1 AND s.connection_id = $2
    AND NOT EXISTS (SELECT 1 FROM voiding v WHERE v.tenant_id = $1 AND (v.target = s.id OR v.statement_id = s.id)) ORDER BY 1`, tx.Tenant, p.ID)
	})
	return list
}

func (p *provider) want(what string, verbs ...string) {
	p.Helper()
	if got := p.verbs(); !slices.Equal(got, verbs) {
		p.Errorf("%s: statements %v, want %v", what, got, verbs)
	}
}

// What Entra ID sends, in its order: its test of the connection, a user looked for and created, changed, found by its id, set inactive, and deleted for good; then a group.
func TestEntra(t *testing.T) {
	p := newWorld(t).directory()
	if got := p.ask("GET", "/Users?filter="+url.QueryEscape(`userName eq "`+uuid.NewString()+`"`)+"&aadOptscim062020", "", 200); at(got, "totalResults") != 0.0 || at(got, "Resources") == nil {
		t.Errorf("the test of the connection: %v", got)
	}
	created := p.ask("POST", "/Users", `{"schemas":["urn:ietf:params:scim:schemas:core:2.0:User","urn:ietf:params:scim:schemas:extension:enterprise:2.0:User"],
		"externalId":"0a21f0f2","userName":"Mara.Quill@example.org","active":true,"title":"Tour Guide","emails":[{"primary":true,"type":"work","value":"mara@example.org"}],
		"meta":{"resourceType":"User"},"name":{"formatted":"Mara Quill","familyName":"Quill","givenName":"Mara"},"roles":[],
		"urn:ietf:params:scim:schemas:extension:enterprise:2.0:User":{"department":"Tours"}}`, 201)
	id, _ := created["id"].(string)
	if at(created, "userName") != "Mara.Quill@example.org" || at(created, "meta", "resourceType") != "User" || !strings.HasSuffix(at(created, "meta", "location").(string), "/Users/"+id) {
		t.Errorf("created: %v", created)
	}
	if created["name"] != nil || created["emails"] != nil {
		t.Errorf("what the mapping does not name was kept: %v", created)
	}
	p.want("created", "join", "transitioned")
	for _, filter := range []string{`userName eq "mara.quill@EXAMPLE.org"`, `externalId eq "0a21f0f2"`, `id eq "` + id + `"`} {
		if got := p.ask("GET", "/Users?filter="+url.QueryEscape(filter), "", 200); at(got, "totalResults") != 1.0 || at(got, "Resources", 0, "id") != id {
			t.Errorf("%s: %v", filter, got)
		}
	}
	changed := p.ask("PATCH", "/Users/"+id, `{"schemas":["urn:ietf:params:scim:api:messages:2.0:PatchOp"],"Operations":[
		{"op":"Replace","path":"emails[type eq \"work\"].value","value":"m@example.org"},{"op":"Replace","path":"name.familyName","value":"Quill-Reed"},
		{"op":"Add","path":"urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:department","value":"Harbour"},
		{"op":"Replace","path":"title","value":"Pilot"},{"op":"Replace","path":"userName","value":"mara@example.org"}]}`, 200)
	if at(changed, "title") != "Pilot" || at(changed, "userName") != "mara@example.org" || at(changed, "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User", "department") != "Harbour" {
		t.Errorf("changed: %v", changed)
	}
	if got := p.ask("GET", "/Users?filter="+url.QueryEscape(`userName eq "mara.quill@example.org"`), "", 200); at(got, "totalResults") != 0.0 {
		t.Errorf("found by its old name: %v", got)
	}
	off := p.ask("PATCH", "/Users/"+id, `{"schemas":["urn:ietf:params:scim:api:messages:2.0:PatchOp"],"Operations":[{"op":"Replace","path":"active","value":"False"}]}`, 200)
	if at(off, "active") != false {
		t.Errorf("set inactive: %v", off)
	}
	p.want("set inactive", "join", "leave")
	p.ask("DELETE", "/Users/"+id, "", 204)
	p.want("deleted")
	if got := p.ask("GET", "/Users/"+id, "", 404); at(got, "status") != "404" || at(got, "schemas", 0) != "urn:ietf:params:scim:api:messages:2.0:Error" {
		t.Errorf("after it was deleted: %v", got)
	}
	p.ask("DELETE", "/Users/"+id, "", 404)

	group := p.ask("POST", "/Groups", `{"schemas":["urn:ietf:params:scim:schemas:core:2.0:Group"],"externalId":"8aa1a0c0","displayName":"Pilots","meta":{"resourceType":"Group"}}`, 201)
	path := "/Groups/" + group["id"].(string)
	p.ask("PATCH", path, `{"schemas":["urn:ietf:params:scim:api:messages:2.0:PatchOp"],"Operations":[{"op":"Replace","path":"displayName","value":"All pilots"},
		{"op":"Add","path":"members","value":[{"$ref":null,"value":"f648f8d5"}]},{"op":"Remove","path":"members","value":[{"$ref":null,"value":"f648f8d5"}]}]}`, 200)
	if got := p.ask("GET", "/Groups?excludedAttributes=members&filter="+url.QueryEscape(`displayName eq "All pilots"`), "", 200); at(got, "totalResults") != 1.0 {
		t.Errorf("group: %v", got)
	}
	p.ask("DELETE", path, "", 204)
}

// What Okta sends: a user looked for, created, read, replaced, and set inactive; a group renamed and filled.
func TestOkta(t *testing.T) {
	p := newWorld(t).directory()
	if got := p.ask("GET", "/Users?filter=userName+eq+%22test.user%40okta.local%22&startIndex=1&count=100", "", 200); at(got, "totalResults") != 0.0 || at(got, "startIndex") != 1.0 {
		t.Errorf("looked for: %v", got)
	}
	const user = `{"schemas":["urn:ietf:params:scim:schemas:core:2.0:User"],"userName":"test.user@okta.local","name":{"givenName":"%s","familyName":"User"},
		"emails":[{"primary":true,"value":"test.user@okta.local","type":"work"}],"displayName":"Test User","locale":"en-US","externalId":"00ujl29u0le5T6Aj10h7",
		"groups":[],"password":"zq-1mz050nq","active":true}`
	created := p.ask("POST", "/Users", fmt.Sprintf(user, "Test"), 201)
	id := created["id"].(string)
	if text := fmt.Sprint(created); strings.Contains(text, "zq-") {
		t.Errorf("the password came back: %s", text)
	}
	if got := p.ask("POST", "/Users", fmt.Sprintf(user, "Test"), 409); at(got, "scimType") != "uniqueness" {
		t.Errorf("the same user twice: %v", got)
	}
	p.ask("GET", "/Users/"+id, "", 200)
	p.ask("PUT", "/Users/"+id, strings.Replace(fmt.Sprintf(user, "Another"), `"active":true`, `"active":true,"title":"Pilot","id":"`+id+`"`, 1), 200)
	p.want("replaced", "join", "transitioned")
	p.ask("PATCH", "/Users/"+id, `{"schemas":["urn:ietf:params:scim:api:messages:2.0:PatchOp"],"Operations":[{"op":"replace","value":{"active":false}}]}`, 200)
	p.want("set inactive", "join", "leave")
	p.ask("PATCH", "/Users/"+id, `{"schemas":["urn:ietf:params:scim:api:messages:2.0:PatchOp"],"Operations":[{"op":"replace","value":{"active":true}}]}`, 200)
	p.want("active again", "join", "transitioned")

	group := p.ask("POST", "/Groups", `{"schemas":["urn:ietf:params:scim:schemas:core:2.0:Group"],"displayName":"Test SCIMv2","members":[]}`, 201)["id"].(string)
	got := p.ask("PATCH", "/Groups/"+group, `{"schemas":["urn:ietf:params:scim:api:messages:2.0:PatchOp"],"Operations":[{"op":"replace","value":{"id":"`+group+`","displayName":"Test SCIMv20"}}]}`, 200)
	if at(got, "displayName") != "Test SCIMv20" || at(got, "id") != group {
		t.Errorf("renamed: %v", got)
	}
	p.ask("PATCH", "/Groups/"+group, `{"schemas":["urn:ietf:params:scim:api:messages:2.0:PatchOp"],"Operations":[{"op":"remove","path":"members[value eq \"89bb1940\"]"},
		{"op":"add","path":"members","value":[{"value":"`+id+`","display":"test.user@okta.local"}]}]}`, 200)
}

func TestServiceDescribesItself(t *testing.T) {
	p := newWorld(t).directory()
	if got := p.ask("GET", "/ServiceProviderConfig", "", 200); at(got, "patch", "supported") != true || at(got, "bulk", "supported") != false || at(got, "filter", "maxResults") != float64(maxResults) {
		t.Errorf("%v", got)
	}
	if got := p.ask("GET", "/ResourceTypes", "", 200); at(got, "totalResults") != 2.0 || at(got, "Resources", 0, "endpoint") != "/Users" {
		t.Errorf("%v", got)
	}
	if got := p.ask("GET", "/ResourceTypes/Group", "", 200); at(got, "schema") != "urn:ietf:params:scim:schemas:core:2.0:Group" {
		t.Errorf("%v", got)
	}
	names := func(schema string) (list []string) {
		attributes, _ := p.ask("GET", "/Schemas/"+schema, "", 200)["attributes"].([]any)
		for _, a := range attributes {
			list = append(list, at(a, "name").(string))
		}
		return list
	}
	if got := names("urn:ietf:params:scim:schemas:core:2.0:User"); !slices.Equal(got, []string{"userName", "active", "title", "userType"}) {
		t.Errorf("attributes of users: %v", got) // those that the mapping names, and no others
	}
	if got := names("urn:ietf:params:scim:schemas:extension:enterprise:2.0:User"); !slices.Equal(got, []string{"employeeNumber", "department", "manager"}) {
		t.Errorf("attributes of the extension: %v", got)
	}
	p.ask("GET", "/Bulk", "", 404)
	p.ask("POST", "/Schemas", "", 405)
	p.ask("PUT", "/Users", "{}", 405)
}

func TestVersionsAndLists(t *testing.T) {
	p := newWorld(t).directory()
	var ids []string
	for i := range 5 {
		ids = append(ids, p.ask("POST", "/Users", fmt.Sprintf(`{"userName":"u%d","externalId":"e%d"}`, i, i%2), 201)["id"].(string))
	}
	page := p.ask("GET", "/Users?startIndex=2&count=3&attributes=userName", "", 200)
	if at(page, "totalResults") != 5.0 || at(page, "itemsPerPage") != 3.0 || at(page, "Resources", 0, "id") != ids[1] || at(page, "Resources", 0, "externalId") != nil {
		t.Errorf("page: %v", page)
	}
	if got := p.ask("GET", "/Users?count=0", "", 200); at(got, "totalResults") != 5.0 || len(at(got, "Resources").([]any)) != 0 {
		t.Errorf("count=0: %v", got)
	}
	if got := p.ask("GET", "/Users?filter="+url.QueryEscape(`externalId eq "e1"`), "", 200); at(got, "totalResults") != 2.0 {
		t.Errorf("two of one externalId: %v", got)
	}
	for _, filter := range []string{`emails.value eq "x"`, `userName co "u"`, `userName eq "a" or userName eq "b"`, `((`, `userName eq 7`} {
		if got := p.ask("GET", "/Users?filter="+url.QueryEscape(filter), "", 400); at(got, "scimType") != "invalidFilter" {
			t.Errorf("%s: %v", filter, got)
		}
	}
	p.ask("GET", "/Users/"+ids[0], "", 304, "If-None-Match", `W/"1"`)
	p.ask("PUT", "/Users/"+ids[0], `{"userName":"u0","title":"Pilot"}`, 200, "If-Match", `W/"1"`)
	p.ask("PUT", "/Users/"+ids[0], `{"userName":"u0","title":"Cook"}`, 412, "If-Match", `W/"1"`)
	p.ask("DELETE", "/Users/"+ids[0], "", 412, "If-Match", `W/"1"`)
	p.ask("DELETE", "/Users/"+ids[0], "", 204, "If-Match", `W/"2"`)
	for body, word := range map[string]string{
		`{"displayName":"no name"}`: "invalidValue", `{"userName":["x"]}`: "invalidValue", `[]`: "invalidSyntax", `{`: "invalidSyntax",
		`{"userName":"x","title":{"a":1}}`: "invalidValue",
	} {
		if got := p.ask("POST", "/Users", body, 400); at(got, "scimType") != word {
			t.Errorf("%s: %v", body, got)
		}
	}
	for body, word := range map[string]string{
		`{}`: "invalidSyntax", `{"Operations":[{"op":"move"}]}`: "invalidSyntax", `{"Operations":[{"op":"replace","path":"a b","value":1}]}`: "invalidPath",
		`{"Operations":[{"op":"remove"}]}`: "noTarget", `{"Operations":[{"op":"remove","path":"userName"}]}`: "invalidValue",
	} {
		if got := p.ask("PATCH", "/Users/"+ids[1], body, 400); at(got, "scimType") != word {
			t.Errorf("%s: %v", body, got)
		}
	}
}

// Many changes of one user at once: none is lost.
func TestChangesAtOnce(t *testing.T) {
	p := newWorld(t).directory()
	id := p.ask("POST", "/Users", `{"userName":"u"}`, 201)["id"].(string)
	var group sync.WaitGroup
	for _, operation := range []string{`{"op":"add","path":"title","value":"Pilot"}`, `{"op":"add","path":"externalId","value":"e"}`,
		`{"op":"add","path":"urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:department","value":"Tours"}`, `{"op":"add","path":"active","value":true}`} {
		group.Go(func() { p.ask("PATCH", "/Users/"+id, `{"Operations":[`+operation+`]}`, 200) })
	}
	group.Wait()
	got := p.ask("GET", "/Users/"+id, "", 200)
	if at(got, "title") != "Pilot" || at(got, "externalId") != "e" || at(got, "active") != true || at(got, "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User", "department") != "Tours" || at(got, "meta", "version") != `W/"5"` {
		t.Errorf("%v", got)
	}
}

func TestWhoMayProvision(t *testing.T) {
	w := newWorld(t)
	p := w.directory()
	client := func(tenant database.TenantID, scope string) string {
		t.Helper()
		var made auth.Credential
		w.do(tenant, func(ctx context.Context, tx *database.Tx) (err error) {
			made, err = w.clients.Create(ctx, tx, "test", auth.NewClient{Name: "c-" + strings.ReplaceAll(scope, "/", "-"), Scopes: []string{scope}, Purpose: people.DefaultPurpose})
			return err
		})
		return made.Token()
	}
	good := client(other, access.Provisioning)
	for token, status := range map[string]int{
		good: 200, client(other, "connections/write"): 403, client(first, access.Provisioning): 404, scimToken + "x": 401, "": 401,
	} {
		p.token = token
		p.ask("GET", "/Users", "", status)
	}
	p.token = good
	p.ask("POST", "/Users", `{"userName":"u"}`, 201)
	p.ask("GET", "/Users", "", 200)
	if n := w.events(other, "provisioned.read"); n != 1 { // a list of nobody shows nobody
		t.Errorf("%d events of reading", n)
	}
	if n := w.events(other, "push.refused"); n != 4 {
		t.Errorf("%d refusals", n)
	}
	ledger := w.add(other, "ledger", ledgerFile)
	p.Connection = ledger
	p.ask("GET", "/Users", "", 404)
	p.ID = uuid.New()
	p.ask("GET", "/Users", "", 404)
}

// Nothing of a user stands in clear.
func TestProvisionedInClear(t *testing.T) {
	p := newWorld(t).directory()
	p.ask("POST", "/Users", `{"userName":"zq-user@example.org","externalId":"zq-external","title":"zq-title"}`, 201)
	p.do(other, func(ctx context.Context, tx *database.Tx) error {
		for _, table := range []string{"scim_resource", "source_record", "audit_event", "connection_freshness"} {
			var hits int
			if err := tx.GetContext(ctx, &hits, `SELECT count(*) FROM `+table+` r WHERE tenant_id = $1 AND position('zq-' in r::text) > 0`, tx.Tenant); err != nil {
				return err
			}
			if hits > 0 {
				t.Errorf("%s holds it in clear", table)
			}
		}
		return connection.Remove(ctx, tx, connection.Act{Actor: "client-1", Now: time.Now()}, p.ID)
	})
	p.do(other, func(ctx context.Context, tx *database.Tx) error {
		var left int
		err := tx.GetContext(ctx, &left, `SELECT count(*) FROM scim_resource WHERE tenant_id = $1`, tx.Tenant)
		if left != 0 {
			t.Errorf("%d resources outlive their connection", left)
		}
		return err
	})
	p.ask(http.MethodGet, "/Users", "", 404)
}
