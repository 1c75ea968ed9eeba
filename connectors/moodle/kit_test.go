package moodle

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/lrshub/lrshub/plugins/kit"
	"github.com/lrshub/lrshub/plugins/sdk"
)

func TestMain(m *testing.M) { kit.Main(m, map[string]func() sdk.Connector{"moodle": New}) }

// exports writes a made-up Moodle's log in two files, with a broken row, and the tables that it refers to.
func exports(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	row := func(id int) string {
		return fmt.Sprintf("%d,\\mod_page\\event\\course_module_viewed,70,page,8,7,%d,2,,\"a:1:{s:1:\"\"x\"\";i:1;}\",%d\n", id, 100+id%4, 1700000000+id)
	}
	log := func(from, to int) string {
		var b strings.Builder
		b.WriteString("id,eventname,contextlevel,objecttable,objectid,contextinstanceid,userid,courseid,relateduserid,other,timecreated\n")
		for id := from; id <= to; id++ {
			b.WriteString(row(id))
		}
		return b.String()
	}
	for name, text := range map[string]string{
		"mdl_logstore_standard_log.1.csv": log(1, 12) + "broken\n" + strings.SplitN(log(13, 17), "\n", 2)[1],
		"mdl_logstore_standard_log.2.csv": log(14, 26),
		"user.csv":                        "id,firstname,lastname\n100,Ada,Berg\n101,Bo,Dahl\n102,Cy,Ek\n103,Di,Fors\n",
		"course.csv":                      "id,fullname,lang\n1,School,en\n2,Biology,sv\n",
		"course_modules.csv":              "id,course,module,instance,section\n7,2,3,8,9\n",
		"course_sections.csv":             "id,course,section\n9,2,1\n",
		"modules.csv":                     "id,name\n3,page\n",
		"page.csv":                        "id,name\n8,Cells\n",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func TestLogstoreConformance(t *testing.T) {
	dir := exports(t)
	kit.Run(t, kit.Subject{
		Name: "moodle", New: New, Config: fmt.Sprintf(`{"folder":%q}`, dir),
		Refused: map[string]string{
			"nothing":        `{}`,
			"missing folder": `{"folder":"/nowhere/at/all"}`,
			"no log":         fmt.Sprintf(`{"folder":%q,"log":"other*"}`, dir),
			"pattern":        fmt.Sprintf(`{"folder":%q,"log":"../*"}`, dir),
			"identify":       fmt.Sprintf(`{"folder":%q,"identify":"phone"}`, dir),
			"misspelt":       fmt.Sprintf(`{"folder":%q,"logs":"x"}`, dir),
		},
	})
}
