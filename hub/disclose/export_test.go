package disclose_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/google/uuid"

	"github.com/lrshub/lrshub/hub/access"
	"github.com/lrshub/lrshub/hub/database/databasetest"
	"github.com/lrshub/lrshub/hub/disclose"
	"github.com/lrshub/lrshub/hub/xapi"
)

func TestExport(t *testing.T) {
	w := newWorld(t)
	var texts []string
	for i := range 2105 {
		texts = append(texts, said("ann", "tried", "a", `,"id":"`+uuid.NewString()+`"`))
		if i%2 == 0 {
			texts[i] = said("bob", "met", "a", "")
		}
	}
	w.bulk(texts)
	for _, c := range []access.Caller{reader, analyst} {
		paged := []string{}
		page := w.page(c, disclose.Query{Ascending: true})
		for {
			for _, text := range page.Statements {
				paged = append(paged, string(text))
			}
			if page.More == "" {
				break
			}
			var err error
			if page, err = w.out.More(t.Context(), c, page.More); err != nil {
				t.Fatal(err)
			}
		}
		before := len(w.events())
		exported := []string{}
		count, err := w.out.Export(t.Context(), c, disclose.Query{}, func(text []byte) error {
			exported = append(exported, string(text))
			if len(exported) == 1 { // its opening and the first batch were told before
				events := w.events()[before:]
				if len(events) != 2 || events[0].Kind != "statement.export" || events[1].Kind != "statement.read" || len(events[1].Subjects) != 2 {
					t.Errorf("told before the first statement: %+v", events)
				}
			}
			return nil
		})
		if err != nil || count != 2105 || !slices.Equal(paged, exported) {
			t.Errorf("exported %d of %d: %v", count, len(paged), err)
		}
		events := w.events()
		if e := events[len(events)-1]; e.Kind != "statement.exported" || e.Fields["complete"] != true || e.Fields["statements"] != 2105.0 {
			t.Errorf("told at the end: %+v", e)
		}
	}
	for bound, want := range map[int]int64{1: 1, 999: 999, 1000: 1000, 1001: 1001, 5000: 2105} {
		count, err := w.out.Export(t.Context(), reader, disclose.Query{Limit: bound}, func([]byte) error { return nil })
		if err != nil || count != want {
			t.Errorf("limit %d: %d, %v", bound, count, err)
		}
	}
	count, err := w.out.Export(t.Context(), reader, disclose.Query{Agent: agent("ann")}, func([]byte) error { return nil })
	if err != nil || count != 1052 {
		t.Errorf("of ann: %d, %v", count, err)
	}
	gone := errors.New("the reader is gone")
	ctx, cancel := context.WithCancel(t.Context())
	count, err = w.out.Export(ctx, reader, disclose.Query{}, func([]byte) error { cancel(); return gone })
	events := w.events()
	if e := events[len(events)-1]; !errors.Is(err, gone) || count != 0 || e.Kind != "statement.exported" || e.Fields["complete"] != false {
		t.Errorf("broken off: %d, %v, %+v", count, err, e)
	}
}

// bulk stores statements in one transaction.
func (w *world) bulk(texts []string) {
	w.Helper()
	batch, err := xapi.ParseBatch([]byte("["+strings.Join(texts, ",")+"]"), xapi.V2, len(texts))
	if err != nil {
		w.Fatal(err)
	}
	if _, err := w.in.Statements(w.Context(), writer, false, batch); err != nil {
		w.Fatal(err)
	}
	databasetest.Settle(w, w.db)
}

// No audit, no answer.
func TestNothingWithoutItsEvent(t *testing.T) {
	w := newWorld(t)
	id := w.post(writer, said("ann", "tried", "a", ""), said("bob", "tried", "a", ""))[0]
	more := w.page(reader, disclose.Query{Limit: 1}).More
	if _, err := w.owner.Exec("REVOKE INSERT ON audit_event FROM lrshub_app"); err != nil {
		t.Fatal(err)
	}
	for _, c := range []access.Caller{reader, analyst, writer} {
		if page, err := w.out.Page(t.Context(), c, disclose.Query{}); err == nil || len(page.Statements) > 0 || page.More != "" {
			t.Errorf("a page of %d, %v", len(page.Statements), err)
		}
		if st, err := w.out.Statement(t.Context(), c, id, false); err == nil || st.JSON != nil {
			t.Errorf("a statement: %s, %v", st.JSON, err)
		}
		count, err := w.out.Export(t.Context(), c, disclose.Query{}, func(text []byte) error { t.Errorf("exported %s", text); return nil })
		if err == nil || count != 0 {
			t.Errorf("an export: %d, %v", count, err)
		}
	}
	if page, err := w.out.More(t.Context(), reader, more); err == nil || len(page.Statements) > 0 {
		t.Errorf("a next page of %d, %v", len(page.Statements), err)
	}
}
