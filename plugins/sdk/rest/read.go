package rest

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/lrshub/lrshub/plugins/contract"
	"github.com/lrshub/lrshub/plugins/sdk"
)

// reader reads one stream. Its loops are, from the outside: passes (one, or a window each), parts, pages, elements, records.
type reader struct {
	c     *Client
	s     *Stream
	out   *sdk.Output
	limit int // bytes of a record

	cur    cursor
	known  *Marks
	seen   *memory // records
	recent *memory // elements
	guard  guard
	page   answer
	fresh  bool // no page was asked for yet
}

func newReader(c *Client, s *Stream, out *sdk.Output) *reader {
	return &reader{c: c, s: s, out: out, limit: sdk.MaxRecord, cur: cursor{Version: cursorVersion}, known: &Marks{}, seen: newMemory(), recent: newMemory(), fresh: true}
}

// answer is the page under way.
type answer struct {
	n      int // elements so far
	fresh  int // of them new
	digest uint64
	last   []byte
}

func (rd *reader) run(ctx context.Context, r sdk.Request) (err error) {
	text := r.Cursor
	if r.Full {
		text = nil
	}
	if rd.cur, err = parseCursor(text); err != nil {
		return err
	}
	if rd.known, err = ParseMarks(rd.cur.Known); err != nil {
		return sdk.Errorf(sdk.ClassCursorExpired, "the cursor is damaged")
	}
	rd.seen.decode(rd.cur.Seen)
	if r.MaxRecord > 0 {
		rd.limit = r.MaxRecord
	}
	for more := true; more; {
		if err := rd.openPass(); err != nil {
			return err
		}
		err := rd.pass(ctx)
		if errors.Is(err, errForgotten) {
			rd.forget()
			continue
		}
		if err != nil {
			return err
		}
		complete := rd.s.Deletes == contract.DeletesAbsence && !rd.cur.Lossy
		more = rd.closePass()
		if complete {
			if err := rd.out.SnapshotComplete(); err != nil {
				return err
			}
		}
		if err := rd.checkpoint(); err != nil {
			return err
		}
	}
	return nil
}

// try reads until the first record.
func (rd *reader) try(ctx context.Context) error {
	if err := rd.openPass(); err != nil {
		return err
	}
	var err error
	if rd.s.Parts == nil {
		err = rd.turn(ctx)
	} else {
		err = rd.s.Parts(ctx, rd.c, func(id string) error {
			rd.cur.Part = id
			if err := rd.turn(ctx); err != nil {
				return err
			}
			return errEnough // one part is enough
		})
	}
	if errors.Is(err, errEnough) || errors.Is(err, errLast) {
		return nil
	}
	return err
}

// part reads pages until the last.
func (rd *reader) part(ctx context.Context) error {
	rd.guard, rd.recent = guard{}, newMemory()
	for again := 0; ; {
		err := rd.turn(ctx)
		switch {
		case errors.Is(err, errMoved):
			if err := rd.stepBack(); err != nil {
				return err
			}
		case errors.Is(err, errLast):
			if !rd.cur.Shifted || again == 2 {
				return rd.unsure()
			}
			again++
			rd.rewind()
		case err != nil && !errors.Is(err, errAgain):
			return err
		}
	}
}

// rewind goes back to the first page.
func (rd *reader) rewind() {
	rd.cur.At, rd.cur.Skip, rd.cur.Last, rd.cur.Done, rd.cur.Total, rd.cur.Shifted = "", 0, 0, 0, 0, false
	rd.guard = guard{}
}

// turn asks for the page that the cursor names, brings what is in it and moves the cursor on. errLast is the end.
func (rd *reader) turn(ctx context.Context) error {
	request, err := rd.request(ctx)
	if err != nil {
		return err
	}
	response, err := rd.c.Do(request)
	stored := rd.fresh && rd.cur.At != ""
	rd.fresh = false
	if err != nil && stored {
		return rd.expired(err)
	}
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if rd.cur.Began.IsZero() {
		rd.cur.Began = rd.c.now()
		if date, err := http.ParseTime(response.Header.Get("Date")); err == nil {
			rd.cur.Began = date.UTC()
		}
	}
	rd.page = answer{}
	values, err := rd.decode(ctx, response.Body)
	if err != nil {
		return err
	}
	return rd.advance(Page{
		At: rd.cur.At, Count: rd.page.n, Last: rd.page.last, Header: response.Header, Values: values, URL: request.URL,
		Done: rd.cur.Done + int64(rd.page.n), hide: rd.c.signs,
	})
}

// decode takes the elements of an answer, once it is there in full where each of them costs a request.
func (rd *reader) decode(ctx context.Context, body io.Reader) (Values, error) {
	decode := rd.s.Decode
	if decode == nil {
		decode = JSON(rd.s.Records)
	}
	if rd.s.Fetch == nil {
		return decode(body, func(raw []byte) error { return rd.element(ctx, raw) })
	}
	var list [][]byte
	size := 0
	values, err := decode(body, func(raw []byte) error {
		list = append(list, bytes.Clone(raw))
		if size += len(raw); size > maxElement {
			return sdk.Errorf(sdk.ClassSourceBug, "the list of what changed has more than %d bytes", maxElement)
		}
		return nil
	})
	for _, raw := range list {
		if err == nil {
			err = rd.element(ctx, raw)
		}
	}
	return values, err
}

// request makes the request for the page that the cursor names.
func (rd *reader) request(ctx context.Context) (*http.Request, error) {
	client := *rd.c
	if rd.cur.Part != "" {
		client.config = map[string]string{"part": rd.cur.Part}
		for name, value := range rd.c.config {
			if name != "part" {
				client.config[name] = value
			}
		}
	}
	r, err := client.Request(ctx, rd.s.Path)
	if err != nil {
		return nil, err
	}
	if w := rd.s.Window; w != nil {
		since := rd.cur.Since
		if _, known := rd.known.Get(rd.cur.Part); rd.s.Parts != nil && !known { // a new part has a past
			if since, err = w.start(rd.c); err != nil {
				return nil, err
			}
		}
		w.ask(r, since, rd.cur.Until)
	}
	if rd.s.Paging != nil {
		err = rd.s.Paging.Ask(r, rd.cur.At)
	}
	return r, err
}

// expired deals with a refusal of the place that was stored: the source may have forgotten it. Then a pass is read from its first page; where the place is all
// that is known, the hub reads the stream anew.
func (rd *reader) expired(err error) error {
	var status Status
	if !errors.As(err, &status) {
		return err
	}
	switch status {
	case http.StatusBadRequest, http.StatusNotFound, http.StatusGone, http.StatusUnprocessableEntity:
	default:
		return err
	}
	if rd.steady() {
		return &sdk.Error{Class: sdk.ClassCursorExpired, Message: "the source no longer knows where to go on from", Err: err}
	}
	return errForgotten
}

// forget begins the pass under way anew.
func (rd *reader) forget() {
	rd.cur = cursor{Version: cursorVersion, Open: true, Mark: rd.cur.Mark, Since: rd.cur.Since, Until: rd.cur.Until, Began: rd.cur.Began, Top: rd.cur.Top}
	rd.seen = newMemory()
}

// element takes one element of the page's list.
func (rd *reader) element(ctx context.Context, raw []byte) error {
	i := rd.page.n
	rd.page.n++
	content := hash(raw)
	rd.page.digest = rd.page.digest*31 + content
	rd.page.last = append(rd.page.last[:0], raw...)
	if i == 0 && rd.overlaps() && content != rd.cur.Last && !rd.recent.has(content) {
		return errMoved
	}
	if i == 0 && rd.overlaps() && content == rd.cur.Last {
		rd.recent.note(content, content, time.Time{})
		return nil
	}
	if i < rd.cur.Skip {
		if i == rd.cur.Skip-1 && content != rd.cur.Last {
			rd.cur.Skip, rd.cur.Last = 0, 0
			return errAgain // it is another page than before: nothing of it is known
		}
		return nil
	}
	if !rd.recent.note(content, content, time.Time{}) {
		rd.page.fresh++
	}
	element, err := raw, error(nil)
	if rd.s.PartAs != "" {
		element = withPart(raw, rd.s.PartAs, rd.cur.Part)
	}
	switch {
	case !rd.s.Raw && !utf8.Valid(raw): // whoever converts it would put other letters in the place of what is broken, maybe into its key
		rd.cur.Lossy = true
		err = rd.record(raw)
	case rd.s.Fetch != nil:
		err = rd.s.Fetch(ctx, rd.c, element, rd.record)
	case rd.s.Convert != nil:
		err = rd.s.Convert(element, rd.record)
	default:
		err = rd.record(element)
	}
	if err != nil {
		return err
	}
	rd.cur.Skip, rd.cur.Last = i+1, content
	if rd.out.Due() {
		return rd.checkpoint()
	}
	return nil
}

// record brings one record, unless it was brought just so.
func (rd *reader) record(json []byte) error {
	var updated time.Time
	if w := rd.s.Window; w != nil && w.Updated != "" {
		if t, ok := w.read(Text(json, w.Updated)); ok {
			updated = t
			if t.After(rd.cur.Top) {
				rd.cur.Top = t
			}
		}
	}
	content := hash(json)
	key, values := rd.key(json)
	if key == 0 {
		key = content
	}
	if rd.seen.note(key, content, updated) {
		return nil
	}
	position := fmt.Sprintf("%s, element %d", rd.s.Name, rd.cur.Done+int64(rd.page.n))
	if rd.s.Gone != nil && rd.s.Gone(json) {
		if values == nil {
			return rd.out.Bad(sdk.BadRecord, position, "the record says that it is deleted, but it has no key", json)
		}
		return rd.out.Delete(values)
	}
	if len(json) > rd.limit || jsontext.Value(json).Kind() != '{' {
		rd.cur.Lossy = true // it exists, but nobody knows its key
	}
	return rd.out.Record(json, position)
}

// advance moves the cursor past a page that was read to its end.
func (rd *reader) advance(p Page) error {
	if p.Count == 0 && rd.overlaps() {
		return errMoved
	}
	if repeated, err := rd.guard.see(p, rd.page); err != nil {
		return err
	} else if repeated {
		rd.cur.Skip = 0
		return errAgain
	}
	var total int64
	if by, ok := rd.s.Paging.(counted); ok {
		if total = by.of(p); total >= 0 && by.overlap() == 0 {
			rd.cur.Shifted = rd.cur.Shifted || rd.cur.Total > 0 && rd.cur.Total != total+1
			rd.cur.Total = total + 1
		}
	}
	rd.out.Progress(p.Done, max(0, total))
	next := ""
	if rd.s.Paging != nil {
		var err error
		if next, err = rd.s.Paging.Next(p); err != nil {
			return err
		}
	}
	last, lasts := rd.s.Paging.(steady)
	if lasts && last.ends(p) {
		if next != "" {
			rd.cur.At, rd.cur.Skip = next, 0
		}
		return errLast
	}
	if next == "" {
		return errLast
	}
	rd.cur.At, rd.cur.Skip, rd.cur.Done = next, 0, p.Done
	if by, ok := rd.s.Paging.(counted); ok {
		rd.cur.Done -= int64(by.overlap())
	}
	if rd.out.Due() {
		return rd.checkpoint()
	}
	return nil
}

// sum is a page as a hash.
func (a answer) sum() uint64 {
	return hash(binary.BigEndian.AppendUint64(nil, a.digest))
}
