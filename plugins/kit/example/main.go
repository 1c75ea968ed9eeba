// Command example is a whole connector, for a source that has its results behind a REST endpoint.
package main

import (
	"github.com/lrshub/lrshub/plugins/contract"
	"github.com/lrshub/lrshub/plugins/sdk"
	"github.com/lrshub/lrshub/plugins/sdk/rest"
)

// New makes the connector.
func New() sdk.Connector {
	return rest.Connector{
		About: sdk.Description{
			Name: "quiz", Version: "1.0.0", Summary: "results of Quiz Server",
			ConfigSchema: `{"type":"object","required":["url"],"properties":{
				"url":{"type":"string"},"token":{"type":"string","x-secret":true}}}`,
			Auth: []sdk.Auth{{Kind: contract.AuthBearer, Secret: "token"}},
		},
		Base: "{url}",
		Streams: []rest.Stream{{
			Stream: sdk.Stream{
				Name: "results", Key: []string{"id"}, Subject: "user", Mode: contract.Incremental,
				Fields: []sdk.Field{
					{Name: "id", Type: contract.Int},
					{Name: "user", Type: contract.String},
					{Name: "score", Type: contract.Double, Optional: true},
				},
			},
			Path:   "/results",
			Paging: rest.After{Param: "after", Field: "id"},
		}},
	}
}

func main() { sdk.Serve(New()) }
