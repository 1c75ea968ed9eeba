package main_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/lrshub/lrshub/cmd/internal/trial"
)

// The real tables of the Open University, counted exactly: what is stored, what the export and xAPI tell, and the memory that it takes. Without the
// tables the made-up ones of the other tests have to do.
func TestOULAD(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("216,404 statements take a minute")
	}
	tables := filepath.Join(root, "..", "shared", "data", "oulad")
	if _, err := os.Stat(tables); err != nil {
		t.Skipf("the tables of OULAD are not at ../shared/data/oulad: %v", err)
	}
	hub := freshHub(t)
	up(t, hub)
	admin := person{t: t, hub: hub}
	admin.add("registrations", example("registrations"), tables)
	admin.add("results", example("results"), tables)
	idle := trial.PSS(hub.PID())
	grown := growth(t, hub)
	began := time.Now()
	admin.sync("registrations").stored(t, "registrations", 32_593+10_072, 0)
	results := admin.sync("results")
	t.Logf("both were read in %v", time.Since(began).Round(time.Second))
	results.stored(t, "results", 173_739, 0)
	if results.Total.Skipped != 173 {
		t.Errorf("%d results without a score are counted, want 173", results.Total.Skipped)
	}
	most := grown() - idle
	t.Logf("hub and connector grew by %d MiB above the idle hub's %d MiB", most>>20, idle>>20)
	if most > 200<<20 {
		t.Errorf("hub and connector grew by %d MiB, may grow by 200", most>>20)
	}
	began = time.Now()
	verbs := map[string]int{}
	ids := map[string]bool{}
	for _, line := range admin.export() {
		_, verb, _ := strings.Cut(line, `"verb":{"id":"`)
		verb, _, _ = strings.Cut(verb, `"`)
		verbs[verb[strings.LastIndexByte(verb, '/')+1:]]++
		ids[id(t, []byte(line))] = true
	}
	if verbs["registered"] != 32_593 || verbs["unregistered"] != 10_072 || verbs["passed"]+verbs["failed"] != 173_739 || len(ids) != 216_404 {
		t.Errorf("%v and %d ids are exported", verbs, len(ids))
	}
	t.Logf("exported in %v", time.Since(began).Round(time.Second))
	began = time.Now()
	if n := len(admin.pages("?limit=1000&ascending=true")); n != 216_404 {
		t.Errorf("xAPI gives %d statements, the export %d", n, len(ids))
	}
	t.Logf("paged through in %v", time.Since(began).Round(time.Second))
	admin.sync("registrations").stored(t, "registrations again", 0, 0)
	admin.sync("results").stored(t, "results again", 0, 0)
	admin.must("audit", "verify")
}
