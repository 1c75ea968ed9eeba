package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// A mapping file may be named from the connection's file or from the root; a folder that is set to nothing is not the present one.
func TestConnectionFile(t *testing.T) {
	dir := t.TempDir()
	mapping, file := filepath.Join(dir, "mapping.yaml"), filepath.Join(dir, "connection.yaml")
	if err := os.WriteFile(mapping, []byte("name: m\nversion: 1\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{"mapping.yaml", mapping} {
		if err := os.WriteFile(file, []byte("connector: csv\nconfig: {}\nmapping: "+path+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		spec, err := readConnectionFile(file, []string{"folder="})
		if err != nil || !strings.HasPrefix(spec.Mapping, "name: m") {
			t.Errorf("%s: %q, %v", path, spec.Mapping, err)
		}
		if !strings.Contains(string(spec.Config), `"folder":""`) {
			t.Errorf("a folder set to nothing: %s", spec.Config)
		}
	}
}
