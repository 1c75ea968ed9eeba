package connection

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/google/uuid"

	"github.com/lrshub/lrshub/hub/audit"
	"github.com/lrshub/lrshub/hub/database"
	"github.com/lrshub/lrshub/plugins/contract"
)

// Upgrade is what another version of its connector's program would change for a connection.
type Upgrade struct {
	Connection string            `json:"connection"`
	From       string            `json:"from"` // SHA-256 of the programs
	To         string            `json:"to"`
	Changes    []contract.Change `json:"changes,omitempty"`
	// Breaks says what keeps the connection from being read with the new version: its configuration, or its mapping.
	Breaks []string `json:"breaks,omitempty"`
	// Reread lists mapped streams whose records have to be read again afterwards (lrshub sync run NAME --full), with the reason.
	Reread map[string]string `json:"reread,omitempty"`
	Done   bool              `json:"done"` // the connection is pinned to the new version now
}

// PlanUpgrade compares what two versions of a connector say for a connection's configuration. was is nil where the old program is not here any more.
// document is the mapping in use.
func PlanUpgrade(c Connection, s Settings, document string, was *contract.Description, is contract.Description) Upgrade {
	u := Upgrade{Connection: c.Name, From: c.Checksum}
	whole, err := s.whole()
	if err == nil {
		_, _, err = ConfigParts(Spec{Connector: c.Connector, Config: whole}, is.ConfigSchema)
	}
	u.breaks("configuration", err)
	_, err = checkMapping(Spec{Connector: c.Connector, Mapping: document, Params: s.Params}, is.Streams)
	u.breaks("mapping", err)
	if was == nil {
		u.Changes = []contract.Change{{What: "version", Is: is.Version, Weighs: "the program that the connection is pinned to is not installed here, so the two cannot be compared"}}
		return u
	}
	u.Changes = contract.Differences(*was, is)
	u.Reread = rereads(document, s.Params, was.Streams, u.Changes)
	return u
}

// Break adds something that keeps the connection from being read.
func (u *Upgrade) Break(err error) { u.breaks("connector", err) }

func (u *Upgrade) breaks(what string, err error) {
	if err == nil {
		return
	}
	for line := range strings.Lines(err.Error()) {
		u.Breaks = append(u.Breaks, what+": "+strings.TrimSpace(line))
	}
}

// rereads finds the mapped streams of which something changed that makes stored records other ones.
func rereads(document string, params json.RawMessage, streams []contract.Stream, changes []contract.Change) map[string]string {
	m, err := LoadMapping(document, params, streams)
	if err != nil {
		return nil
	}
	list := map[string]string{}
	for _, name := range m.Streams() {
		for _, c := range changes {
			switch {
			case c.Where == name && strings.HasPrefix(c.Weighs, "needs re-read"):
				list[name] = c.What + " changed"
			case c.What == "field" && c.Was != "" && c.Is != "" && slices.Contains(m.Fields(name), strings.TrimPrefix(c.Where, name+".")):
				list[name] = "field " + c.Where + " changed"
			}
		}
	}
	return list
}

// whole is the configuration with its secrets, as the connector's schema sees it.
func (s Settings) whole() (json.RawMessage, error) {
	var config map[string]any
	if err := decodeNumbers(s.Config, &config); err != nil {
		return nil, errors.New("the stored configuration is not an object")
	}
	for path, secret := range s.Secrets {
		at, parts := config, strings.Split(path, ".")
		for _, part := range parts[:len(parts)-1] {
			below, ok := at[part].(map[string]any)
			if !ok {
				below = map[string]any{}
				at[part] = below
			}
			at = below
		}
		at[parts[len(parts)-1]] = secret
	}
	return json.Marshal(config)
}

// Repin pins a connection to another version of its connector's program. A read that is under way ends with the version it began with.
func Repin(ctx context.Context, tx *database.Tx, act Act, id uuid.UUID, checksum string) (Connection, error) {
	c, err := lock(ctx, tx, id)
	if err != nil || c.Checksum == checksum {
		return c, err
	}
	c.Checksum = checksum
	if _, err := tx.ExecContext(ctx, `UPDATE connection SET checksum = $3 WHERE tenant_id = $1 AND id = $2`, tx.Tenant, id, checksum); err != nil {
		return c, fmt.Errorf("connection: repin: %w", err)
	}
	return c, record(ctx, tx, act, audit.ConnectionChanged, c, map[string]any{"checksum": checksum})
}
