package mapping_test

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
	"testing/fstest"

	"github.com/lrshub/lrshub/connectors/canvas"
	"github.com/lrshub/lrshub/connectors/moodle"
	"github.com/lrshub/lrshub/hub/mapping"
	"github.com/lrshub/lrshub/plugins/sdk"
)

// TestConnectorsFixtures runs the fixtures that are shipped with connectors, those of several streams in a folder each.
func TestConnectorsFixtures(t *testing.T) {
	for _, set := range []struct {
		make              func() sdk.Connector
		mapping, fixtures string
		cases             int
	}{
		{moodle.New, "moodle/mapping.yaml", "moodle/fixtures", 14},
		{moodle.New, "moodle/logstore.yaml", "moodle/logstore/fixtures", 14},
		{canvas.New, "canvas/mapping.yaml", "canvas/fixtures", 17},
	} {
		t.Run(set.fixtures, func(t *testing.T) {
			document, err := os.ReadFile(filepath.Join("../../connectors", set.mapping))
			if err != nil {
				t.Fatal(err)
			}
			d, err := set.make().Describe(nil)
			if err != nil {
				t.Fatal(err)
			}
			folder := filepath.Join("../../connectors", set.fixtures)
			report, err := mapping.Test(document, d.Streams, os.DirFS(folder), nil)
			if err != nil {
				t.Fatal(err)
			}
			if *update {
				writeExpected(t, folder, report)
				return
			}
			if scored, semantic, butIDs, _ := report.Scores(); !report.OK() || scored != semantic || butIDs != scored || scored < set.cases {
				t.Error(report)
			}
		})
	}
}

// TestStreamBelow: a folder within the fixtures says for which stream its cases are, and nothing else.
func TestStreamBelow(t *testing.T) {
	d, err := canvas.New().Describe(nil)
	if err != nil {
		t.Fatal(err)
	}
	document, err := os.ReadFile("../../connectors/canvas/mapping.yaml")
	if err != nil {
		t.Fatal(err)
	}
	folder := fstest.MapFS{
		"x/fixtures.yaml":     {Data: []byte("stream: enrolment\n")},
		"x/a/input.json":      {Data: []byte(`{"id": 1, "course_id": 2, "user_id": 3, "type": "TaEnrollment"}`)},
		"x/a/expected.json":   {Data: []byte(`[]`)},
		"x/y/fixtures.yaml":   {Data: []byte("stream: grade\n")},
		"x/y/b/input.json":    {Data: []byte(`{"id": 1, "attempt": 0, "user_id": 3, "assignment_id": 4, "graded_at": "2026-01-01T00:00:00Z", "score": 1}`)},
		"x/y/b/expected.json": {Data: []byte(`{"refused": "no_course"}`)},
	}
	report, err := mapping.Test(document, d.Streams, folder, nil)
	if err != nil || !report.OK() || len(report.Results) != 2 {
		t.Fatalf("%v %v", err, report)
	}
	folder["x/fixtures.yaml"] = &fstest.MapFile{Data: []byte("params: {site: \"https://other.example\"}\n")}
	if _, err := mapping.Test(document, d.Streams, folder, nil); !errors.Is(err, mapping.ErrFixtures) {
		t.Errorf("parameters below the top: %v", err)
	}
}
