package records_test

import (
	"slices"
	"testing"

	"github.com/google/uuid"

	"github.com/lrshub/lrshub/hub/database/databasetest"
	"github.com/lrshub/lrshub/hub/query"
	"github.com/lrshub/lrshub/hub/records"
	"github.com/lrshub/lrshub/hub/xapi"
)

// Whatever the order of arrival, in one batch or one after the other: a statement that is not itself a voiding one is voided, and no other (Data 2.3.2).
func TestVoidingInEveryOrder(t *testing.T) {
	db := databasetest.New(t)
	for _, order := range permutations([]int{0, 1, 2, 3, 4}) {
		me := uuid.New()
		list := make([]records.Statement, 5)
		for i := range list {
			list[i] = statement(me)
		}
		voids := map[int]int{1: 0, 2: 0, 3: 2, 4: 3} // a second voiding of one target, and voidings of voiding ones
		arriving := make([]records.Statement, 0, 5)
		for _, i := range order {
			if target, voiding := voids[i]; voiding {
				list[i].Voids, list[i].ObjectKind, list[i].Object = list[target].ID, xapi.ObjectStatementRef, list[target].ID
			}
			arriving = append(arriving, list[i])
		}
		if first := order[0]; first%2 == 0 {
			write(t, db, arriving...)
		} else {
			for _, s := range arriving {
				write(t, db, s)
			}
		}
		for voided, want := range map[bool]int{true: 1, false: 4} {
			rows := read(t, db, 1, records.Query{Agent: me, Filter: query.Compare{Column: "voided", Op: query.Equal, Value: voided}})
			if len(rows) != want || voided && rows[0].ID != list[0].ID {
				t.Fatalf("order %v: %d statements are found with voided %v, want %d", order, len(rows), voided, want)
			}
		}
	}
}

func permutations(of []int) (all [][]int) {
	if len(of) == 0 {
		return [][]int{nil}
	}
	for i, first := range of {
		for _, rest := range permutations(slices.Delete(slices.Clone(of), i, i+1)) {
			all = append(all, append([]int{first}, rest...))
		}
	}
	return all
}
