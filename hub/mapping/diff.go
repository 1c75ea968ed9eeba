package mapping

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/lrshub/lrshub/hub/mapping/compare"
	"github.com/lrshub/lrshub/plugins/contract"
)

// Changes says what a new version of a mapping needs beyond the old one.
type Changes struct {
	Old, New string // names and versions
	// Reread holds, by stream, the fields that the new version names and the old one did not. Records that are kept were
	// pruned without them, so the source has to be read again before the new version can be used on them.
	Reread map[string][]string
	// Dropped holds the fields that only the old version names.
	Dropped map[string][]string
	// Streams that only the new version reads, or only the old one.
	Added, Removed []string
}

// NeedsReread says whether the new version cannot work on what was pruned for the old one.
func (c *Changes) NeedsReread() bool { return len(c.Reread) > 0 || len(c.Added) > 0 }

// String gives the changes as people read them.
func (c *Changes) String() string {
	var b strings.Builder
	for _, name := range c.Added {
		fmt.Fprintf(&b, "stream %s: needs re-read: it was not read before\n", name)
	}
	for _, name := range keysOf(c.Reread) {
		fmt.Fprintf(&b, "stream %s: needs re-read: names %s, which was pruned\n", name, strings.Join(c.Reread[name], ", "))
	}
	for _, name := range keysOf(c.Dropped) {
		fmt.Fprintf(&b, "stream %s: no longer names %s\n", name, strings.Join(c.Dropped[name], ", "))
	}
	for _, name := range c.Removed {
		fmt.Fprintf(&b, "stream %s: no longer read\n", name)
	}
	return b.String()
}

// Diff compares the fields and streams that two mapping documents need.
func Diff(before, after []byte, streams []contract.Stream, opts ...Option) (*Changes, error) {
	x, err := Load(before, streams, opts...)
	if err != nil {
		return nil, fmt.Errorf("old version: %w", err)
	}
	y, err := Load(after, streams, opts...)
	if err != nil {
		return nil, fmt.Errorf("new version: %w", err)
	}
	return x.Changes(y), nil
}

// Changes says what another version needs beyond this one.
func (m *Mapping) Changes(after *Mapping) *Changes {
	c := &Changes{Old: m.name + " " + m.version, New: after.name + " " + after.version,
		Reread: map[string][]string{}, Dropped: map[string][]string{}}
	for _, name := range after.order {
		if !slices.Contains(m.order, name) {
			c.Added = append(c.Added, name)
			continue
		}
		if fields := notCovered(after.fields[name], m.fields[name]); len(fields) > 0 {
			c.Reread[name] = fields
		}
	}
	for _, name := range m.order {
		if !slices.Contains(after.order, name) {
			c.Removed = append(c.Removed, name)
			continue
		}
		if fields := notCovered(m.fields[name], after.fields[name]); len(fields) > 0 {
			c.Dropped[name] = fields
		}
	}
	return c
}

// notCovered lists the paths that lie in none of those kept.
func notCovered(paths, kept []string) []string {
	var missing []string
	for _, path := range paths {
		if !slices.ContainsFunc(kept, func(k string) bool { return path == k || strings.HasPrefix(path, k+".") }) {
			missing = append(missing, path)
		}
	}
	return missing
}

// OutputChange is one place at which a new version gives something else for a record. It holds no value.
type OutputChange struct {
	Position int    // of the old version's statement, or of the new one's where it is added
	Template string // of the same
	Path     string // "" where the whole statement is added or removed
	Kind     string // added, removed or changed
}

// CompareOutputs says what changes between the statements that two versions make of one record.
func CompareOutputs(before, after []Output) ([]OutputChange, error) {
	var all []OutputChange
	taken := make([]bool, len(after))
	for _, x := range before {
		j := slices.IndexFunc(after, func(y Output) bool { return !taken[y.Position] && y.Template == x.Template })
		if j < 0 {
			all = append(all, OutputChange{Position: x.Position, Template: x.Template, Kind: "removed"})
			continue
		}
		taken[after[j].Position] = true
		differences, err := compare.Statements([]json.RawMessage{x.JSON}, []json.RawMessage{after[j].JSON})
		if err != nil {
			return nil, err
		}
		for _, d := range differences {
			kind := "changed"
			switch {
			case d.Want == "":
				kind = "added"
			case d.Got == "":
				kind = "removed"
			}
			all = append(all, OutputChange{Position: x.Position, Template: x.Template, Path: d.Path, Kind: kind})
		}
	}
	for _, y := range after {
		if !taken[y.Position] {
			all = append(all, OutputChange{Position: y.Position, Template: y.Template, Kind: "added"})
		}
	}
	return all, nil
}
