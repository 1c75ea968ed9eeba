package connectors

import (
	"os"
	"testing"

	"github.com/lrshub/lrshub/plugins/kit"
	"github.com/lrshub/lrshub/plugins/kit/cassette"
	"github.com/lrshub/lrshub/plugins/kit/suite"
)

// TestBuiltin: each connector calls itself what it is listed as, and says what it is without a configuration.
func TestBuiltin(t *testing.T) {
	all := Builtin()
	if len(all) < 2 {
		t.Fatalf("only %d connectors are listed", len(all))
	}
	for name, make := range all {
		d, err := make().Describe(nil)
		if err != nil || d.Name != name || d.Version == "" || d.Summary == "" || d.ConfigSchema == "" {
			t.Errorf("%s: describes itself as %q, version %q: %v", name, d.Name, d.Version, err)
		}
		for _, stream := range d.Streams {
			if err := stream.Validate(); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
	delete(all, "csv")
	if Builtin()["csv"] == nil {
		t.Error("the map is shared")
	}
}

func TestMain(m *testing.M) { kit.Main(m, Builtin()) }

// TestRecordings: a connector still reads the recording of its source that the binary holds. All checks on it are `lrshub connector test NAME`; the
// recording is made anew with `go test ./connectors/NAME -run TestConformance -args -record`.
func TestRecordings(t *testing.T) {
	found := 0
	for name, make := range Builtin() {
		folder, ok := Recording(name)
		if !ok {
			continue
		}
		found++
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			recording, err := cassette.Read(folder)
			if err != nil {
				t.Fatal(err)
			}
			dir := t.TempDir()
			if err := os.CopyFS(dir, folder); err != nil {
				t.Fatal(err)
			}
			s := kit.Subject{Name: name, New: make, Config: recording.At(dir), Secrets: map[string]string{}}
			d, err := make().Describe([]byte(s.Config))
			if err != nil {
				t.Fatal(err)
			}
			for _, path := range suite.SecretPaths(d.ConfigSchema) {
				s.Secrets[path] = cassette.Secret(path)
			}
			if s.Source, err = cassette.NewPlayer(recording, suite.QueryParameters(d)...); err != nil {
				t.Fatal(err)
			}
			checks := suite.Open(s)
			defer checks.Close()
			for _, c := range checks.Streams(t) {
				if c.Name == "brings records" || c.Name == "as a process" {
					t.Run(c.Stream+"/"+c.Name, func(t *testing.T) { c.Run(t) })
				}
			}
		})
	}
	if found < 2 {
		t.Errorf("only %d connectors have a recording", found)
	}
}
