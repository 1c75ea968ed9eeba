package scim

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	peer "github.com/elimity-com/scim"
	"github.com/elimity-com/scim/optional"
	"github.com/elimity-com/scim/schema"

	"github.com/lrshub/lrshub/plugins/sdk"
	"github.com/lrshub/lrshub/plugins/sdk/scim"
	"github.com/lrshub/lrshub/plugins/sdk/sdktest"
)

// people are the users of a SCIM server that others made.
type people struct{ list []peer.Resource }

func (p *people) GetAll(_ *http.Request, q peer.ListRequestParams) (peer.Page, error) {
	from := min(q.StartIndex-1, len(p.list))
	return peer.Page{TotalResults: len(p.list), Resources: p.list[from:min(from+q.Count, len(p.list))]}, nil
}

func (p *people) Create(_ *http.Request, a peer.ResourceAttributes) (peer.Resource, error) {
	made := peer.Resource{ID: fmt.Sprintf("peer-%d", len(p.list)), Attributes: a}
	if external, ok := a["externalId"].(string); ok {
		made.ExternalID = optional.NewString(external)
	}
	p.list = append(p.list, made)
	return made, nil
}

func (*people) Get(*http.Request, string) (peer.Resource, error) { return peer.Resource{}, nil }
func (*people) Replace(*http.Request, string, peer.ResourceAttributes) (peer.Resource, error) {
	return peer.Resource{}, nil
}
func (*people) Delete(*http.Request, string) error { return nil }
func (*people) Patch(*http.Request, string, []peer.PatchOperation) (peer.Resource, error) {
	return peer.Resource{}, nil
}

// A whole SCIM server of another maker is read.
func TestRealPeer(t *testing.T) {
	users, groups := &people{}, &people{}
	server, err := peer.NewServer(&peer.ServerArgs{
		ServiceProviderConfig: &peer.ServiceProviderConfig{MaxResults: 10},
		ResourceTypes: []peer.ResourceType{
			{Name: "User", Endpoint: "/Users", Schema: schema.CoreUserSchema(), SchemaExtensions: []peer.SchemaExtension{{Schema: schema.ExtensionEnterpriseUser()}}, Handler: users},
			{Name: "Group", Endpoint: "/Groups", Schema: schema.CoreGroupSchema(), Handler: groups},
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	web := httptest.NewServer(http.StripPrefix("/scim", server))
	defer web.Close()
	for i := range 25 {
		body := fmt.Sprintf(`{"schemas":["%s","%s"],"userName":"u%d@example.org","externalId":"e%d","active":%t,"title":"Pilot","%s":{"employeeNumber":"%d","manager":{"value":"peer-0"}}}`,
			scim.UserSchema, scim.EnterpriseSchema, i, i, i != 3, scim.EnterpriseSchema, i)
		response, err := http.Post(web.URL+"/scim/v2/Users", "application/scim+json", strings.NewReader(body))
		if err != nil || response.StatusCode != http.StatusCreated {
			t.Fatalf("%v, %v", response, err)
		}
		response.Body.Close()
	}
	s := sdktest.Session(fmt.Sprintf(`{"url":%q,"page":50}`, web.URL+"/scim/v2"), nil, nil) // the peer gives ten at most
	if err := New().Check(t.Context(), s); err != nil {
		t.Error(err)
	}
	got, err := sdktest.Read(t.Context(), New(), s, sdk.Request{Stream: scim.UserStream})
	if err != nil || len(got.Records) != 25 || !got.SnapshotComplete {
		t.Fatalf("%d users, complete %t, %v", len(got.Records), got.SnapshotComplete, err)
	}
	if first := got.Records[3]; !strings.Contains(first, `"enterprise":{"employeeNumber":"3","manager":{"value":"peer-0"}}`) || !strings.Contains(first, `"active":false`) || !strings.Contains(first, `"externalId":"e3"`) {
		t.Error(first)
	}
	if got, err := sdktest.Read(t.Context(), New(), s, sdk.Request{Stream: scim.GroupStream}); err != nil || len(got.Records) != 0 || !got.SnapshotComplete {
		t.Errorf("no groups: %+v, %v", got, err)
	}
}
