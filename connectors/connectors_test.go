package connectors

import "testing"

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
