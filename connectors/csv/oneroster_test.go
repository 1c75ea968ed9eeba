package csv

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"go.yaml.in/yaml/v3"

	"github.com/lrshub/lrshub/plugins/sdk"
	"github.com/lrshub/lrshub/plugins/sdk/sdktest"
)

// TestOneRosterExample reads files as OneRoster 1.2 lays them down, all their columns included, with the example's configuration.
func TestOneRosterExample(t *testing.T) {
	text, err := os.ReadFile("examples/oneroster/rosters.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var example struct{ Config map[string]any }
	if err := yaml.Unmarshal(text, &example); err != nil {
		t.Fatal(err)
	}
	folder := t.TempDir()
	for name, rows := range map[string]string{
		"users.csv": "sourcedId,status,dateLastModified,enabledUser,username,userIds,givenName,familyName,middleName,identifier,email,sms,phone,agentSourcedIds,grades,password,userMasterIdentifier,resourceSourcedIds,preferredGivenName,preferredMiddleName,preferredFamilyName,primaryOrgSourcedId,pronouns\n" +
			"u-1,,,true,ann,{LDAP:ann},Ann,Example,,1,ann@school.example,,,,,,,,,,,o-1,\n",
		"roles.csv":       "sourcedId,status,dateLastModified,userSourcedId,roleType,role,beginDate,endDate,orgSourcedId,userProfileSourcedId\nx-1,,,u-1,primary,student,2025-08-01,,o-1,\n",
		"classes.csv":     "sourcedId,status,dateLastModified,title,grades,courseSourcedId,classCode,classType,location,schoolSourcedId,termSourcedIds,subjects,subjectCodes,periods\nc-1,,,\"Algebra, 1a\",9,k-1,,scheduled,,o-1,t-1,,,\n",
		"enrollments.csv": "sourcedId,status,dateLastModified,classSourcedId,schoolSourcedId,userSourcedId,role,primary,beginDate,endDate\ne-1,,,c-1,o-1,u-1,student,false,2026-01-07,\n",
	} {
		if err := os.WriteFile(filepath.Join(folder, name), []byte(rows), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	example.Config["folder"] = folder
	config, err := json.Marshal(example.Config)
	if err != nil {
		t.Fatal(err)
	}
	s := sdktest.Session(string(config), nil, nil)
	if err := New().Check(t.Context(), s); err != nil {
		t.Fatal(err)
	}
	for stream, want := range map[string]string{
		"user":       `{"sourcedId":"u-1","status":null,"email":"ann@school.example"}`,
		"role":       `{"sourcedId":"x-1","status":null,"userSourcedId":"u-1","roleType":"primary","role":"student","beginDate":"2025-08-01","endDate":null,"orgSourcedId":"o-1"}`,
		"class":      `{"sourcedId":"c-1","title":"Algebra, 1a"}`,
		"enrollment": `{"sourcedId":"e-1","status":null,"classSourcedId":"c-1","userSourcedId":"u-1","role":"student","beginDate":"2026-01-07"}`,
	} {
		got, err := sdktest.Read(t.Context(), New(), s, sdk.Request{Stream: stream})
		if err != nil || len(got.Records) != 1 || !sameObject(got.Records[0], want) || !got.SnapshotComplete {
			t.Errorf("%s: %v, %q", stream, err, got.Records)
		}
	}
}

func sameObject(a, b string) bool {
	var x, y map[string]any
	if json.Unmarshal([]byte(a), &x) != nil || json.Unmarshal([]byte(b), &y) != nil {
		return false
	}
	one, _ := json.Marshal(x)
	two, _ := json.Marshal(y)
	return string(one) == string(two)
}
