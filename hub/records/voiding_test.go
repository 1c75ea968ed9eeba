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

// One who writes for another purpose voids nothing by knowing an id, whichever comes first; a voiding of the same purpose counts beside it.
func TestVoidingOfAnotherPurposeVoidsNothing(t *testing.T) {
	db := databasetest.New(t)
	for _, order := range permutations([]int{0, 1, 2}) {
		for purpose := int32(1); purpose <= 2; purpose++ { // of the target; the other is that of the foreign voiding
			me := uuid.New()
			target, foreign, own := statement(me), statement(uuid.New()), statement(uuid.New())
			target.Purpose, foreign.Purpose, own.Purpose = purpose, 3-purpose, purpose
			for _, s := range []*records.Statement{&foreign, &own} {
				s.Voids, s.ObjectKind, s.Object = target.ID, xapi.ObjectStatementRef, target.ID
			}
			list := []records.Statement{target, foreign, own}
			there := map[int]bool{}
			for _, i := range order {
				write(t, db, list[i])
				if there[i] = true; !there[0] {
					continue
				}
				for _, voided := range []bool{true, false} {
					is := query.Compare{Column: "voided", Op: query.Equal, Value: voided}
					for how, q := range map[string]records.Query{"agent": {Agent: me, Filter: is}, "id": {ID: target.ID, Filter: is}} {
						if got, want := len(read(t, db, 1, q)) == 1, there[2] == voided; got != want {
							t.Errorf("order %v, purpose %d, after %d: found by %s with voided %v: %v", order, purpose, i, how, voided, got)
						}
					}
				}
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
