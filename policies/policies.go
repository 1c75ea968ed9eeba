// Package policies holds what decides access, as files: the data rules in Rego with the data that they
// read, and the grants that a new tenant starts with. README.md says what they say and how to change
// them; hub/access asks them. The rules' own tests (*_test.rego) run in this package's go test.
package policies

import (
	"embed"
	"io/fs"
)

//go:embed *.rego data.json
var bundle embed.FS

//go:embed grants.yaml
var grants []byte

// Bundle has the rules (*.rego), their tests (*_test.rego) and their data (data.json) in its root.
func Bundle() fs.FS { return bundle }

// Grants is a YAML list of ladon policies.
func Grants() []byte { return grants }
