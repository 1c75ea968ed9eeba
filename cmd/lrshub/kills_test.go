package main_test

import (
	"math/rand/v2"
	"testing"

	"github.com/lrshub/lrshub/cmd/internal/trial"
)

// A dozen kills at random moments; lrsbench kills does hundreds of the same.
func TestKills(t *testing.T) {
	t.Parallel()
	const times = 12
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	report, err := trial.Kills{
		Binary: binary, Times: times, Students: 600, Config: example("results"), Rand: rand.New(rand.NewPCG(seed, 0)), Log: t.Logf,
	}.Run(t.Context(), folder(t))
	if err != nil {
		t.Fatal(err)
	}
	if report.Killed[trial.HubProcess] != 4 || report.Killed[trial.PostgresProcess] != 4 || report.Killed[trial.ConnectorProcess] != 4 || report.Syncs != times+1 {
		t.Errorf("%+v", report)
	}
	if report.During < times/4 {
		t.Errorf("only %d of %d kills fell into a run: this proves too little", report.During, times)
	}
}
