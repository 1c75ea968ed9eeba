package openedx

import (
	"fmt"
	"testing"

	"github.com/lrshub/lrshub/plugins/kit"
	"github.com/lrshub/lrshub/plugins/sdk"
)

func TestMain(m *testing.M) { kit.Main(m, map[string]func() sdk.Connector{"openedx": New}) }

// TestConformance runs the kit on a log, a rotated one, a gzipped one and broken lines.
func TestConformance(t *testing.T) {
	s := newSite(t, "")
	s.write("tracking.log", events(1, 13)+"no event\n"+events(14, 20))
	s.write("tracking.log-20240201", "Feb  1 10:00:00 host INFO - "+events(101, 112))
	s.write("tracking.log-20240131.gz", zipped(events(201, 217)))
	kit.Run(t, kit.Subject{
		Name:   "openedx",
		New:    New,
		Config: string(s.s.Config),
		Refused: map[string]string{
			"no folder":      `{}`,
			"missing folder": `{"folder":"/nowhere/at/all"}`,
			"no log":         fmt.Sprintf(`{"folder":%q,"pattern":"*.txt"}`, s.dir),
			"outside":        fmt.Sprintf(`{"folder":%q,"pattern":"../*"}`, s.dir),
			"bad prefix":     fmt.Sprintf(`{"folder":%q,"prefix":"("}`, s.dir),
			"misspelt":       fmt.Sprintf(`{"folder":%q,"patern":"x"}`, s.dir),
		},
	})
}
