package main_test

import (
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/lrshub/lrshub/cmd/internal/trial"
)

// 64 clients write the same things through two nodes; then a few kills in the middle of it. lrsbench writers does the same for longer.
func TestWriters(t *testing.T) {
	t.Parallel()
	hub := freshHub(t)
	up(t, hub)
	second, err := hub.Serve(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	stop := func() {
		if err := second.Stop(); err != nil {
			t.Error(err)
		}
	}
	t.Cleanup(stop)
	admin := person{t: t, hub: hub}
	var client credential
	admin.json(&client, "client", "create", "writers", "--scope", "all", "--scope", "define")
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	writers := trial.Writers{Nodes: []string{hub.URL(), second.URL}, Key: client.Key, Secret: client.Secret, Clients: 64, Time: 6 * time.Second, Seed: seed}
	report, err := writers.Run(t.Context(), nil)
	t.Log(report)
	if err != nil {
		t.Fatal(err)
	}
	enough := report.Acknowledged > 100 && report.Conflicts > 0 && report.Invalid > 0 && report.Voided > 0 && report.References > 0 && report.Attachments > 0 && report.Keys > 0
	if !enough {
		t.Error("too little was written to prove anything")
	}
	logged, err := hub.Deadlocks()
	if counted := ask[int](t, owner(t, hub, "lrshub"), "SELECT deadlocks FROM pg_stat_database WHERE datname = 'lrshub'"); err != nil || logged != 0 || counted != 0 {
		t.Errorf("deadlocks: %d in the log, %d counted, %v", logged, counted, err)
	}
	stop()

	writers.Clients, writers.Time = 16, 4*time.Second
	report, err = trial.KilledWriters{Hub: hub, Writers: writers, Times: 4, Rand: rand.New(rand.NewPCG(seed, 1)), Log: t.Logf}.Run(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if report.Acknowledged < 40 || report.Unknown == 0 {
		t.Errorf("too little was written and killed to prove anything: %v", report)
	}
	if out := admin.must("audit", "verify"); !strings.Contains(out, "proved") {
		t.Errorf("audit verify: %s", out)
	}
}
