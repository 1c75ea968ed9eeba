package cell

import (
	"reflect"
	"testing"
)

func TestArgv(t *testing.T) {
	for _, plan := range []Plan{
		{Hide: []string{}, Args: []string{}},
		{Program: "/bin/x", Sockets: "/s", Hide: []string{"/a", "/b"}, Args: []string{"x", "--", "y"}},
		{Sockets: "--", Hide: []string{"/a"}, Args: []string{""}},
	} {
		got, ok := parse(plan.Argv())
		if plan.Sockets == "--" { // relative: no place for sockets, and no plan
			if ok {
				t.Errorf("%+v was taken for a plan", got)
			}
			continue
		}
		if !ok || !reflect.DeepEqual(got, plan) {
			t.Errorf("got %+v, %v, want %+v", got, ok, plan)
		}
	}
	for _, argv := range [][]string{nil, {"lrshub", "up"}, {marker}, {marker, "a", "b", "c"}} {
		if _, ok := parse(argv); ok {
			t.Errorf("%v was taken for a plan", argv)
		}
	}
}
