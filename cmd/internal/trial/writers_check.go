package trial

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"reflect"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
)

// stored is what the store shows of an id.
type stored struct {
	there, voided bool
	variant       int
}

// check holds the store against what the requests were told.
//
// Requests without answer are resolved first: their marks say whether they were stored. Then each id must have the content of one acknowledged request, and no
// acknowledged request may have another; what only refused requests had must not be there; and a refused request must have had a reason.
func (w *writers) check(ctx context.Context) error {
	found, err := w.find(ctx)
	if err != nil {
		return err
	}
	perhaps := map[said]bool{} // of single statements without answer
	wanted := map[int]int{}    // variants by number
	for _, s := range w.sent {
		w.count(s)
		if s.outcome == unknown && s.marks != nil {
			if err := w.resolve(s, found); err != nil {
				return err
			}
		}
		for _, mark := range s.marks {
			if there := found[mark].there; there != (s.outcome == acknowledged) {
				return fmt.Errorf("a request was %s, and of its own statements one is there: %t", s.outcome, there)
			}
		}
		for _, one := range s.statements {
			if s.outcome == unknown && s.marks == nil {
				perhaps[one] = true
			}
			if s.outcome != acknowledged {
				continue
			}
			if v, acked := wanted[one.number]; acked && v != one.variant {
				return fmt.Errorf("statement %d was acknowledged with two contents", one.number)
			}
			wanted[one.number] = one.variant
		}
	}
	for number, f := range found {
		v, acked := wanted[number]
		switch {
		case number >= firstMark:
		case acked && !f.there:
			return fmt.Errorf("statement %d was acknowledged and is lost", number)
		case acked && f.variant != v, !acked && f.there && !perhaps[said{number, f.variant}]:
			return fmt.Errorf("statement %d has a content that nobody was told is stored", number)
		}
	}
	for _, s := range w.sent {
		if s.outcome == conflict && !slices.ContainsFunc(s.statements, func(one said) bool { f := found[one.number]; return f.there && f.variant != one.variant }) {
			return errors.New("a request was refused as a conflict with nothing")
		}
	}
	return w.checkMore(ctx, found)
}

func (w *writers) checkMore(ctx context.Context, found map[int]stored) error {
	if err := w.checkVoidings(found); err != nil {
		return err
	}
	for _, step := range []func(context.Context, map[int]stored) error{w.checkList, w.checkReferences, w.checkAttachments, w.checkDocuments} {
		if err := step(ctx, found); err != nil {
			return err
		}
	}
	return nil
}

// resolve finds out what became of a request without answer.
func (w *writers) resolve(s *sent, found map[int]stored) error {
	there := 0
	for _, mark := range s.marks {
		if found[mark].there {
			there++
		}
	}
	switch there {
	case 0:
		return nil
	case len(s.marks):
		s.outcome = acknowledged
		w.report.Committed++
		return nil
	}
	return fmt.Errorf("half of an unacknowledged request is there: %d of %d of its own statements", there, len(s.marks))
}

func (w *writers) count(s *sent) {
	switch s.outcome {
	case acknowledged:
		w.report.Acknowledged++
	case conflict:
		w.report.Conflicts++
	case invalid:
		w.report.Invalid++
	case unknown:
		w.report.Unknown++
	}
}

// each does something for many numbers, on several connections.
func each(ctx context.Context, numbers []int, do func(ctx context.Context, number int) error) error {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(8)
	for _, n := range numbers {
		group.Go(func() error { return do(ctx, n) })
	}
	return group.Wait()
}

// find asks for every statement that was sent.
func (w *writers) find(ctx context.Context) (map[int]stored, error) {
	found := map[int]stored{}
	for _, s := range w.sent {
		for _, one := range s.statements {
			found[one.number] = stored{}
		}
		for _, mark := range s.marks {
			found[mark] = stored{}
		}
	}
	var numbers []int
	for n := range found {
		numbers = append(numbers, n)
	}
	var mu sync.Mutex
	err := each(ctx, numbers, func(ctx context.Context, n int) error {
		f, err := w.one(ctx, n)
		mu.Lock()
		defer mu.Unlock()
		found[n] = f
		return err
	})
	return found, err
}

// one asks for one statement, as it stands and as a voided one.
func (w *writers) one(ctx context.Context, number int) (f stored, err error) {
	for _, parameter := range []string{"statementId", "voidedStatementId"} {
		status, text, err := w.do(ctx, http.MethodGet, "/xapi/statements?"+parameter+"="+w.id(number), "", nil)
		switch {
		case err != nil:
			return f, err
		case status == http.StatusNotFound:
			continue
		case status != http.StatusOK:
			return f, fmt.Errorf("GET of statement %d: %d %s", number, status, text)
		case f.there:
			return f, fmt.Errorf("statement %d is voided and not voided", number)
		}
		f.there, f.voided = true, parameter == "voidedStatementId"
		for f.variant = range 2 {
			if equal, err := w.isEqual(text, said{number, f.variant}); err != nil || equal {
				return f, err
			}
		}
		return f, fmt.Errorf("statement %d is not as it was sent: %s", number, text)
	}
	return f, nil
}

// isEqual compares, but for what a store sets and for definitions.
func (w *writers) isEqual(text []byte, s said) (bool, error) {
	want, err := json.Marshal(w.statement(s))
	if err != nil {
		return false, err
	}
	var a, b any
	for text, value := range map[*any][]byte{&a: text, &b: want} {
		d := json.NewDecoder(bytes.NewReader(value))
		d.UseNumber()
		if err := d.Decode(text); err != nil {
			return false, err
		}
	}
	got := a.(map[string]any)
	for _, set := range []string{"stored", "authority", "version"} {
		if got[set] == nil {
			return false, fmt.Errorf("a statement without %s", set)
		}
		delete(got, set)
	}
	return reflect.DeepEqual(undefined(a), b), nil
}

// undefined takes the definitions out.
func undefined(value any) any {
	switch v := value.(type) {
	case map[string]any:
		delete(v, "definition")
		for name := range v {
			undefined(v[name])
		}
	case []any:
		for i := range v {
			undefined(v[i])
		}
	}
	return value
}

// checkVoidings: a statement is voided if and only if a stored voiding is about it and it is none itself (Data 2.3.2).
func (w *writers) checkVoidings(found map[int]stored) error {
	want := map[int]bool{}
	for n, f := range found {
		s := said{n, f.variant}
		if !f.there {
			continue
		}
		w.report.Stored++
		switch s.kind() {
		case voiding:
			w.report.Voidings++
			if target := (said{number: s.target()}); target.kind() != voiding {
				want[s.target()] = true
			}
		case reference:
			w.report.References++
		}
	}
	for n, f := range found {
		if f.there && f.voided != want[n] {
			return fmt.Errorf("statement %d is voided: %t, want %t", n, f.voided, want[n])
		}
		if f.voided {
			w.report.Voided++
		}
	}
	return nil
}

// pages walks through all pages of a query and gives the ids.
func (w *writers) pages(ctx context.Context, query url.Values) (ids []string, err error) {
	query.Set("limit", "200")
	for path := "/xapi/statements?" + query.Encode(); path != ""; {
		status, text, err := w.do(ctx, http.MethodGet, path, "", nil)
		if err == nil && status != http.StatusOK {
			err = fmt.Errorf("%d %s", status, text)
		}
		if err != nil {
			return nil, fmt.Errorf("GET of a page: %w", err)
		}
		var page struct {
			Statements []struct{ ID string }
			More       string
		}
		if err := json.Unmarshal(text, &page); err != nil {
			return nil, err
		}
		for _, s := range page.Statements {
			ids = append(ids, s.ID)
		}
		path = page.More
	}
	return ids, nil
}

// checkList: the pages of a query list each statement that is there and not voided, once.
func (w *writers) checkList(ctx context.Context, found map[int]stored) error {
	ids, err := w.pages(ctx, url.Values{"activity": {w.run()}, "related_activities": {"true"}})
	if err != nil {
		return err
	}
	var want []string
	for n, f := range found {
		if f.there && !f.voided {
			want = append(want, w.id(n))
		}
	}
	slices.Sort(ids)
	slices.Sort(want)
	if !slices.Equal(ids, want) {
		return fmt.Errorf("the pages list %d statements, want %d: %s", len(ids), len(want), difference(ids, want))
	}
	return nil
}

// sample is how many are looked at where one look is slow.
const sample = 40

// checkReferences: a statement is found by what the statement has that it refers to (Communication 2.1.3). References that came first are resolved by the worker,
// which takes a moment.
func (w *writers) checkReferences(ctx context.Context, found map[int]stored) error {
	looked := 0
	for n, f := range found {
		s := said{n, f.variant}
		target := said{number: s.target()}
		if !f.there || f.voided || s.kind() != reference || !found[s.target()].there || found[s.target()].voided || target.kind() == voiding {
			continue
		}
		if looked++; looked > sample {
			return nil
		}
		for began := time.Now(); ; time.Sleep(100 * time.Millisecond) {
			ids, err := w.pages(ctx, url.Values{"registration": {w.registration(s.target())}})
			if err != nil {
				return err
			}
			if slices.Contains(ids, w.id(n)) && slices.Contains(ids, w.id(s.target())) {
				break
			}
			if time.Since(began) > 30*time.Second {
				return fmt.Errorf("reference %d is not found by the registration of its target %d", n, s.target())
			}
		}
	}
	return nil
}

// checkAttachments reads attachments back.
func (w *writers) checkAttachments(ctx context.Context, found map[int]stored) error {
	var numbers []int
	for n, f := range found {
		if s := (said{number: n}); f.there && s.kind() == withAttachment && len(numbers) < 5*sample {
			numbers = append(numbers, n)
		}
	}
	w.report.Attachments = len(numbers)
	return each(ctx, numbers, func(ctx context.Context, n int) error {
		parameter := "statementId"
		if found[n].voided {
			parameter = "voidedStatementId"
		}
		status, text, err := w.do(ctx, http.MethodGet, "/xapi/statements?attachments=true&"+parameter+"="+w.id(n), "", nil)
		if err == nil && (status != http.StatusOK || !strings.Contains(string(text), "\r\n\r\n"+w.content(n)+"\r\n--")) {
			err = fmt.Errorf("the attachment of statement %d is not there: %d, %d bytes", n, status, len(text))
		}
		return err
	})
}

// checkDocuments: every property that was acknowledged is there, and none that nobody sent.
func (w *writers) checkDocuments(ctx context.Context, _ map[int]stored) error {
	for _, name := range documents {
		status, text, err := w.do(ctx, http.MethodGet, w.document(name), "", nil)
		if err != nil {
			return err
		}
		got := map[string]int{}
		if status == http.StatusOK {
			err = json.Unmarshal(text, &got)
		} else if status != http.StatusNotFound {
			err = fmt.Errorf("%d %s", status, text)
		}
		if err != nil {
			return fmt.Errorf("the %s is not what was merged: %w", name, err)
		}
		for _, m := range w.merged {
			if m.document != name {
				continue
			}
			value, there := got[m.key]
			if there && value != m.value || !there && m.outcome == acknowledged {
				return fmt.Errorf("the %s has not what was merged into it: %s", name, m.key)
			}
			if delete(got, m.key); there {
				w.report.Keys++
			}
		}
		if len(got) > 0 {
			return fmt.Errorf("the %s has %d keys that nobody sent", name, len(got))
		}
	}
	return nil
}
