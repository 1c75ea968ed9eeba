package xapi

import (
	"encoding/json"
)

// JSON gives the agent as an xAPI object: objectType, its identifier, and its name if it has one. An anonymous
// group's members are not part of an Agent and not of the result.
func (a Agent) JSON() []byte {
	type account struct {
		HomePage string `json:"homePage"`
		Name     string `json:"name"`
	}
	object := struct {
		ObjectType string   `json:"objectType"`
		Name       string   `json:"name,omitempty"`
		Mbox       string   `json:"mbox,omitempty"`
		MboxSHA1   string   `json:"mbox_sha1sum,omitempty"`
		OpenID     string   `json:"openid,omitempty"`
		Account    *account `json:"account,omitempty"`
	}{ObjectType: "Agent", Name: a.Name}
	if a.Group {
		object.ObjectType = "Group"
	}
	switch id := a.Identifier; id.Kind {
	case Mbox:
		object.Mbox = id.Value
	case MboxSHA1Sum:
		object.MboxSHA1 = id.Value
	case OpenID:
		object.OpenID = id.Value
	case Account:
		object.Account = &account{HomePage: id.HomePage, Name: id.Name}
	}
	text, err := json.Marshal(object)
	if err != nil {
		panic("xapi: an agent of strings always marshals: " + err.Error())
	}
	return text
}
