// Package connectors lists the connectors that are built into the hub. Each lives in a folder of its own and imports
// plugins/sdk and nothing of the hub; it runs as a process of its own, the hub's binary started as `lrshub connector serve NAME`.
package connectors

import (
	"embed"
	"io/fs"

	"github.com/lrshub/lrshub/connectors/bamboohr"
	"github.com/lrshub/lrshub/connectors/caliper"
	"github.com/lrshub/lrshub/connectors/canvas"
	"github.com/lrshub/lrshub/connectors/csv"
	"github.com/lrshub/lrshub/connectors/manual"
	"github.com/lrshub/lrshub/connectors/moodle"
	"github.com/lrshub/lrshub/connectors/oneroster"
	"github.com/lrshub/lrshub/connectors/openedx"
	"github.com/lrshub/lrshub/connectors/openedxapi"
	"github.com/lrshub/lrshub/connectors/qti"
	"github.com/lrshub/lrshub/connectors/scim"
	"github.com/lrshub/lrshub/connectors/scormcloud"
	"github.com/lrshub/lrshub/connectors/xapi"
	"github.com/lrshub/lrshub/plugins/sdk"
)

// Builtin gives, by name, how to make each built-in connector. The map is the caller's.
func Builtin() map[string]func() sdk.Connector {
	return map[string]func() sdk.Connector{
		"bamboohr":   bamboohr.New,
		"caliper":    caliper.New,
		"canvas":     canvas.New,
		"csv":        csv.New,
		"manual":     manual.New,
		"moodle":     moodle.New,
		"oneroster":  oneroster.New,
		"openedx":    openedx.New,
		"openedxapi": openedxapi.New,
		"qti":        qti.New,
		"scim":       scim.New,
		"scormcloud": scormcloud.New,
		"xapi":       xapi.New,
	}
}

// recorded holds the folders NAME/recording: see plugins/kit/cassette.
//
//go:embed */recording
var recorded embed.FS

// Recording gives the recording of a source by which a built-in connector is tested from the command line; false if there is none.
func Recording(name string) (fs.FS, bool) {
	folder, err := fs.Sub(recorded, name+"/recording")
	if err != nil {
		return nil, false
	}
	if _, err := fs.Stat(folder, "."); err != nil {
		return nil, false
	}
	return folder, true
}
