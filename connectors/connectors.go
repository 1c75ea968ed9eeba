// Package connectors lists the connectors that are built into the hub. Each lives in a folder of its own and imports
// plugins/sdk and nothing of the hub; it runs as a process of its own, the hub's binary started as `lrshub connector serve NAME`.
package connectors

import (
	"github.com/lrshub/lrshub/connectors/csv"
	"github.com/lrshub/lrshub/connectors/openedx"
	"github.com/lrshub/lrshub/plugins/sdk"
)

// Builtin gives, by name, how to make each built-in connector. The map is the caller's.
func Builtin() map[string]func() sdk.Connector {
	return map[string]func() sdk.Connector{
		"csv":     csv.New,
		"openedx": openedx.New,
	}
}
