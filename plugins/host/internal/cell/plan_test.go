package cell

import (
	"reflect"
	"testing"
)

func TestArgv(t *testing.T) {
	for _, plan := range []Plan{
		{Hide: []string{}, Show: []string{}, Args: []string{}},
		{Program: "/bin/x", Sockets: "/s", Hide: []string{"/a", "/b"}, Show: []string{"/a/c"}, Args: []string{"x", "--", "y"}},
		{Sockets: "--", Hide: []string{"/a"}, Show: []string{}, Args: []string{""}},
	} {
		if got, ok := parse(plan.Argv()); !ok || !reflect.DeepEqual(got, plan) {
			t.Errorf("got %+v, %v, want %+v", got, ok, plan)
		}
	}
	for _, argv := range [][]string{nil, {"lrshub", "up"}, {marker}, {marker, "a", "b", "c", next, "d"}} {
		if _, ok := parse(argv); ok {
			t.Errorf("%v was taken for a plan", argv)
		}
	}
}
