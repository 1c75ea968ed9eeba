package csv

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/lrshub/lrshub/plugins/sdk"
	"github.com/lrshub/lrshub/plugins/sdk/sdktest"
)

// shared finds a folder of test data that lies beside the repository, or skips the test.
func shared(t *testing.T, path string) string {
	t.Helper()
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for ; dir != filepath.Dir(dir); dir = filepath.Dir(dir) {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			break
		}
	}
	found := filepath.Join(dir, "../shared/data", path)
	if _, err := os.Stat(found); err != nil {
		t.Skipf("needs ../shared/data/%s beside the repository", path)
	}
	return found
}

// TestOULAD reads the tables of the Open University Learning Analytics Dataset and counts what is known of them.
func TestOULAD(t *testing.T) {
	s := sdktest.Session(fmt.Sprintf(`{"folder":%q,"files":[
		{"stream":"registration","file":"student_registration.csv","key":["code_module","code_presentation","id_student"],"subject":"id_student","deletes":"absence",
		 "columns":{"code_module":"string","code_presentation":"string","id_student":"int","date_registration":"int","date_unregistration":"int"}},
		{"stream":"result","file":"student_assessment.csv","key":["id_assessment","id_student"],"subject":"id_student","deletes":"absence",
		 "columns":{"id_assessment":"int","id_student":"int","date_submitted":"int","is_banked":"bool","score":"double"}},
		{"stream":"student","file":"student.csv","key":["code_module","code_presentation","id_student"],"subject":"id_student",
		 "columns":{"code_module":"string","code_presentation":"string","id_student":"int","studied_credits":"int"}},
		{"stream":"assessment","file":"assessment.csv","key":["id_assessment"],"columns":{"id_assessment":"int","assessment_type":"string","date":"int","weight":"double"}},
		{"stream":"course","file":"course.csv","key":["code_module","code_presentation"],"columns":{"code_module":"string","code_presentation":"string","module_presentation_length":"int"}}]}`,
		shared(t, "oulad")), nil, nil)
	if err := New().Check(t.Context(), s); err != nil {
		t.Fatal(err)
	}
	for stream, want := range map[string]map[string]int{
		"registration": {"{": 32593, `"date_unregistration":null`: 32593 - 10072, `"date_registration":null`: 45},
		"result":       {"{": 173912, `"score":null`: 173, `"is_banked":true`: 1909},
		"student":      {"{": 32593, "region": 0, "imd_band": 0},
		"assessment":   {"{": 206},
		"course":       {"{": 22},
	} {
		t.Run(stream, func(t *testing.T) {
			got, err := sdktest.Read(t.Context(), New(), s, sdk.Request{Stream: stream})
			if err != nil || len(got.Bad) > 0 {
				t.Fatalf("%v, bad %v", err, badness(got))
			}
			for text, n := range want {
				count := 0
				for _, record := range got.Records {
					count += strings.Count(record, text)
				}
				if count != n {
					t.Errorf("%s occurs %d times, want %d", text, count, n)
				}
			}
			again, err := sdktest.Read(t.Context(), New(), s, sdk.Request{Stream: stream, Cursor: got.Cursors[len(got.Cursors)-1]})
			if err != nil || len(again.Records) > 0 {
				t.Errorf("read again: %d records, %v", len(again.Records), err)
			}
		})
	}
}
