package kit

import (
	"encoding/json"
	"errors"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/lrshub/lrshub/plugins/kit/cassette"
	"github.com/lrshub/lrshub/plugins/kit/suite"
)

// record has Run make the folder "recording" beside the test, of the test's own replay server or files, by which `lrshub connector test NAME` works.
var record = flag.Bool("record", false, "write the folder recording, for lrshub connector test, from what the conformance test reads")

// recordingFolder is where the recording of a built-in connector lies, seen from its package.
const recordingFolder = "recording"

var once sync.Once // the first test that runs the suite makes the recording

func makeRecording(t *testing.T, s Subject) {
	t.Helper()
	once.Do(func() {
		if err := os.RemoveAll(recordingFolder); err != nil {
			t.Fatal(err)
		}
		made, err := suite.Record(t.Context(), s, time.Now().UTC().Truncate(24*time.Hour))
		switch {
		case errors.Is(err, suite.ErrNothing):
			err = copyFiles(s.Config)
		case err == nil && len(made.Differs) > 0:
			t.Errorf("the recording does not play back: %v", made.Differs)
		case err == nil:
			err = cassette.Write(recordingFolder, made.Head, made.Scrubbed)
		}
		if err != nil {
			t.Fatal(err)
		}
	})
}

// copyFiles makes the recording of a connector that reads a folder: the folder, and the configuration with ${dir} in its place.
func copyFiles(config string) error {
	var values map[string]any
	if err := json.Unmarshal([]byte(config), &values); err != nil {
		return err
	}
	for _, value := range values {
		folder, ok := value.(string)
		if about, err := os.Stat(folder); !ok || !filepath.IsAbs(folder) || err != nil || !about.IsDir() {
			continue
		}
		if err := os.CopyFS(recordingFolder, os.DirFS(folder)); err != nil {
			return err
		}
		quoted, err := json.Marshal(folder)
		if err != nil {
			return err
		}
		config = strings.ReplaceAll(config, strings.Trim(string(quoted), `"`), "${dir}")
	}
	return os.WriteFile(filepath.Join(recordingFolder, cassette.ConfigFile), []byte(config+"\n"), 0o644)
}
