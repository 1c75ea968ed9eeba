// Package logstore reads exports of Moodle's log store: the rows of mdl_logstore_standard_log in the order of their ids, each with
// the rows of other tables that it refers to. Start reading at Read; join.go says which rows and columns come along, table.go how they
// are found, rows.go what an export looks like.
package logstore

import (
	"context"
	"encoding/json"
	"os"
	"path"
	"slices"
	"strings"

	"github.com/lrshub/lrshub/plugins/sdk"
)

// Config is where the exports lie and what of people is read.
type Config struct {
	Folder   string `json:"folder"`
	Log      string `json:"log"`      // pattern of the log's files
	Prefix   string `json:"prefix"`   // of Moodle's tables
	Identify string `json:"identify"` // id, username or email
	Names    *bool  `json:"names"`    // people's names; nil: yes
}

// Validate completes a configuration and says what is wrong with it.
func (c *Config) Validate() error {
	if c.Log == "" {
		c.Log = "*logstore_standard_log*"
	}
	if c.Prefix == "" {
		c.Prefix = "mdl_"
	}
	if c.Identify == "" {
		c.Identify = "id"
	}
	if _, err := path.Match(c.Log, ""); err != nil || strings.ContainsAny(c.Log, `/\`) {
		return sdk.Errorf(sdk.ClassConfig, "moodle: log %q must be a pattern of names of files in the folder, such as *logstore_standard_log*", c.Log)
	}
	if !slices.Contains([]string{"id", "username", "email"}, c.Identify) {
		return sdk.Errorf(sdk.ClassConfig, "moodle: identify is id, username or email, not %q", c.Identify)
	}
	return nil
}

// site is the opened folder.
type site struct {
	root    *os.Root
	logs    []string          // in the order of their names
	files   map[string]string // table, without prefix, to the name of its file
	tables  map[string]*table // as they are opened; nil: there is no such file
	columns map[string][]string
}

func open(c Config) (*site, error) {
	root, err := os.OpenRoot(c.Folder)
	if err != nil {
		return nil, unreadable("folder "+c.Folder, err)
	}
	s := &site{root: root, files: map[string]string{}, tables: map[string]*table{}, columns: map[string][]string{"user": userColumns(c)}}
	folder, err := root.Open(".")
	if err == nil {
		defer folder.Close()
		var names []string
		if names, err = folder.Readdirnames(-1); err == nil {
			s.sort(c, names)
			return s, nil
		}
	}
	s.close()
	return nil, unreadable("folder "+c.Folder, err)
}

// sort says which file is what.
func (s *site) sort(c Config, names []string) {
	slices.Sort(names)
	for _, name := range names {
		lower := strings.ToLower(name)
		table, known := strings.CutSuffix(lower, ".csv")
		for _, end := range []string{".jsonl", ".ndjson"} {
			if bare, ok := strings.CutSuffix(lower, end); ok {
				table, known = bare, true
			}
		}
		if !known {
			continue
		}
		if match, _ := path.Match(c.Log, name); match {
			s.logs = append(s.logs, name)
			continue
		}
		s.files[strings.TrimPrefix(table, c.Prefix)] = name
	}
}

func (s *site) close() {
	for _, t := range s.tables {
		if t != nil {
			t.Close()
		}
	}
	s.root.Close()
}

func userColumns(c Config) []string {
	columns := []string{"id"}
	if c.Names == nil || *c.Names {
		columns = append(columns, "firstname", "lastname")
	}
	if c.Identify != "id" {
		columns = append(columns, c.Identify)
	}
	return columns
}

// needed are the tables without which hardly any event makes a statement.
var needed = []string{"course", "course_modules", "course_sections", "modules", "user"}

// Check opens every export and names what is missing.
func Check(ctx context.Context, c Config) error {
	s, err := open(c)
	if err != nil {
		return err
	}
	defer s.close()
	if len(s.logs) == 0 {
		return sdk.Errorf(sdk.ClassConfig, "moodle: no file in folder %s is a .csv or .jsonl that matches the pattern %q of the log", c.Folder, c.Log)
	}
	var missing []string
	for _, name := range needed {
		if s.files[name] == "" {
			missing = append(missing, name)
		}
	}
	if missing != nil {
		return sdk.Errorf(sdk.ClassConfig, "moodle: folder %s lacks exports of these tables: %s; name the files as the tables (user.csv or %suser.csv)",
			c.Folder, strings.Join(missing, ", "), c.Prefix)
	}
	for _, name := range s.logs {
		if err := checkLog(s.root, name); err != nil {
			return err
		}
	}
	for table := range s.files {
		if err := ctx.Err(); err != nil {
			return err
		}
		if _, known := columns[table]; !known && !slices.Contains(needed, table) {
			continue // no table of which we know that it is read
		}
		if _, err := s.find(table, "id", "0", func() {}); err != nil {
			return err
		}
	}
	return nil
}

func checkLog(root *os.Root, name string) error {
	t, err := openTable(root, name)
	if err != nil {
		return err
	}
	defer t.Close()
	if t.header == nil {
		return nil
	}
	for _, column := range []string{"id", "eventname", "userid", "courseid", "timecreated", "objectid", "contextinstanceid"} {
		if !slices.Contains(t.header, column) {
			return sdk.Errorf(sdk.ClassConfig, "moodle: %s has no column %s: export all columns of the log", name, column)
		}
	}
	return nil
}

// find gives rows of a table; a table that was not exported has none.
func (s *site) find(name, column, value string, alive func()) ([]row, error) {
	t, opened := s.tables[name]
	if !opened {
		if file := s.files[name]; file != "" {
			var err error
			if t, err = openTable(s.root, file); err != nil {
				return nil, err
			}
		}
		s.tables[name] = t
	}
	if t == nil {
		return nil, nil
	}
	return t.find(column, value, alive)
}

// keep leaves of a row the columns that are brought.
func (s *site) keep(table string, r row) map[string]json.RawMessage {
	wanted, ok := s.columns[table]
	if !ok {
		if wanted, ok = columns[table]; !ok {
			wanted = instance
		}
	}
	kept := make(map[string]json.RawMessage, len(wanted))
	for _, column := range wanted {
		if value, there := r[column]; there {
			kept[column] = value
		}
	}
	return kept
}
