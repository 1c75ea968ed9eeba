package main

import (
	"bytes"
	"encoding/binary"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/uuid"

	"github.com/lrshub/lrshub/hub/database/databasetest"
)

// The host starts connectors by starting this program anew: here, the test binary.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == "connector" {
		c := command()
		c.SetArgs(os.Args[1:])
		if err := c.Execute(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

func TestStatementsAreValidAndOfTheSizeStated(t *testing.T) {
	if !bytes.Equal(newMaker(3).body(20), newMaker(3).body(20)) {
		t.Error("the same seed gives other statements")
	}
	list, err := newMaker(1).parsed(1000)
	if err != nil {
		t.Fatal(err)
	}
	ids, total, mailboxes, parents, instructed := map[uuid.UUID]bool{}, 0, 0, 0, 0
	for _, s := range list {
		ids[s.ID] = true
		total += len(s.Raw)
		raw := string(s.Raw)
		for text, count := range map[string]*int{`"mbox"`: &mailboxes, `"parent"`: &parents, `"instructor"`: &instructed} {
			if strings.Contains(raw, text) {
				*count++
			}
		}
	}
	if len(ids) != 1000 {
		t.Errorf("%d ids of 1000 statements", len(ids))
	}
	if mean := total / 1000; mean < 600 || mean > 800 {
		t.Errorf("%d bytes a statement", mean)
	}
	for _, c := range []struct{ got, tenths int }{{mailboxes, byMailbox}, {parents, withParent}, {instructed, withInstructor}} {
		if c.got < 100*c.tenths-60 || c.got > 100*c.tenths+60 {
			t.Errorf("%d of 1000 statements, want about %d", c.got, 100*c.tenths)
		}
	}
}

func TestCutGivesWholePieces(t *testing.T) {
	header := append([]byte("PGCOPY\n\xff\r\n\x00"), make([]byte, 8)...)
	row := func(n int) []byte { // two fields, the first is null in odd rows
		b := binary.BigEndian.AppendUint16(nil, 2)
		if n%2 == 1 {
			b = binary.BigEndian.AppendUint32(b, 0xffffffff)
		} else {
			b = append(binary.BigEndian.AppendUint32(b, 3), "abc"...)
		}
		return binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint32(b, 4), uint32(n))
	}
	all := bytes.Clone(header)
	for n := range 7 {
		all = append(all, row(n)...)
	}
	pieces, err := cut(append(all, 0xff, 0xff), 3)
	if err != nil || len(pieces) != 3 {
		t.Fatalf("%d pieces, %v", len(pieces), err)
	}
	var joined []byte
	for _, p := range pieces {
		if !bytes.HasPrefix(p, header) || !bytes.HasSuffix(p, []byte{0xff, 0xff}) {
			t.Errorf("a piece without header or trailer: %x", p)
		}
		joined = append(joined, p[len(header):len(p)-2]...)
	}
	if !bytes.Equal(joined, all[len(header):]) {
		t.Error("the pieces do not have the rows")
	}
	if _, err := cut(nil, 3); err == nil {
		t.Error("nothing was cut")
	}
}

func TestTablesHaveDistinctKeys(t *testing.T) {
	folder := t.TempDir()
	if err := writeTables(folder, 25_000, 1); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join(folder, "student_assessment.csv"))
	if err != nil {
		t.Fatal(err)
	}
	rows, err := csv.NewReader(bytes.NewReader(text)).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	keys := map[[2]string]bool{}
	for _, row := range rows[1:] {
		keys[[2]string{row[0], row[1]}] = true
	}
	if len(keys) != 25_000 {
		t.Errorf("%d keys of 25000 records", len(keys))
	}
}

// Both measurements run on a small scale and store what they say.
func TestMeasurements(t *testing.T) {
	owner := databasetest.NewEmpty(t)
	for _, c := range []struct {
		args  []string
		roads []string
		table string // that the measured road fills
	}{
		{[]string{"limits", "--statements", "600", "--batch", "100"}, []string{"through records", "through HTTP", "COPY, binary", "COPY, text, lib/pq"}, "statement_activity"},
		{[]string{"sync", "--records", "600"}, []string{"connector to commit", "COPY, binary", "COPY, text, lib/pq"}, "source_record"},
	} {
		t.Run(c.args[0], func(t *testing.T) {
			var out bytes.Buffer
			root := command()
			root.SetArgs(append(c.args, "--rounds", "2", "-o", "json", "--database-owner-url", owner))
			root.SetOut(&out)
			if err := root.ExecuteContext(t.Context()); err != nil {
				t.Fatal(err)
			}
			var r report
			if err := json.Unmarshal(out.Bytes(), &r); err != nil {
				t.Fatalf("%v:\n%s", err, out.String())
			}
			for i, name := range c.roads {
				if len(r.Roads) != len(c.roads) || r.Roads[i].Name != name || r.Roads[i].Ratio <= 0 || r.Roads[i].Lowest > r.Roads[i].Ratio || r.Roads[i].Highest < r.Roads[i].Ratio {
					t.Fatalf("roads: %+v", r.Roads)
				}
				if name == r.Yardstick && r.Roads[i].Ratio != 1 {
					t.Errorf("the yardstick's own ratio is %v", r.Roads[i].Ratio)
				}
			}
			filled := map[string]bool{}
			for _, s := range r.Sizes {
				filled[s.Table] = true
			}
			if !filled["statement"] || !filled[c.table] {
				t.Errorf("tables: %+v", r.Sizes)
			}
			var table bytes.Buffer
			if err := r.print(&table, "table"); err != nil || !strings.Contains(table.String(), c.roads[0]) {
				t.Errorf("%v: %s", err, table.String())
			}
		})
	}
}

func TestFlagsThatMeasureNothing(t *testing.T) {
	for _, args := range [][]string{{"limits", "--rounds", "0"}, {"sync", "--writers", "0"}, {"limits", "-o", "xml"}, {"sync", "--connection", "no-such-file.yaml"}, {"limits", "now"}} {
		root := command()
		root.SetArgs(args)
		root.SetOut(&bytes.Buffer{})
		if err := root.ExecuteContext(t.Context()); err == nil {
			t.Errorf("%v: no error", args)
		}
	}
}
