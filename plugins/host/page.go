package host

import (
	"bytes"
	"fmt"

	"github.com/lrshub/lrshub/plugins/contract"
)

// builder collects a page. Keys and records lie in a few large pieces of memory, not in one each.
type builder struct {
	plan        *plan
	limits      Limits
	page        Page
	memory      []byte // the piece being filled
	size        int    // of the page, as Limits.PageBytes counts
	done, total int64
}

const (
	recordCost = 128       // bytes that a record costs beside its content
	pieceBytes = 256 << 10 // of memory
)

func newBuilder(p *plan, l Limits) *builder {
	return &builder{plan: p, limits: l, page: Page{Stream: p.stream.Name}}
}

func (b *builder) empty() bool {
	return len(b.page.Records) == 0 && len(b.page.Bad) == 0 && !b.page.SnapshotComplete
}

// cut gives the page and begins the next.
func (b *builder) cut(cursor []byte) Page {
	page := b.page
	page.Cursor, page.Done, page.Total = cursor, b.done, b.total
	b.page, b.size = Page{Stream: page.Stream, Records: make([]Record, 0, len(page.Records))}, 0
	return page
}

// add takes any event but a checkpoint.
func (b *builder) add(e contract.Event) error {
	switch e.Kind {
	case contract.EventRecord:
		return b.record(e)
	case contract.EventDelete:
		return b.delete(e)
	case contract.EventBad:
		return b.bad(Bad{Code: e.Code, Position: e.Position, Reason: e.Reason, Raw: bytes.Clone(e.JSON)})
	case contract.EventProgress:
		b.done, b.total = e.Done, e.Total
	case contract.EventSnapshotComplete:
		b.page.SnapshotComplete = true
	}
	return nil
}

func (b *builder) record(e contract.Event) error {
	pruned, err := b.plan.prune(e.JSON)
	if err != nil {
		return b.bad(Bad{Code: contract.CodeUnfit, Position: e.Position, Reason: err.Error(), Raw: bytes.Clone(e.JSON), Key: bytes.Clone(pruned.key), Unfit: true})
	}
	r := Record{Key: b.keep(pruned.key), Subject: pruned.subject, JSON: b.keep(pruned.json), Position: e.Position}
	b.page.Records = append(b.page.Records, r)
	return b.grow(len(r.Key) + len(r.Subject) + len(r.JSON) + len(r.Position))
}

func (b *builder) delete(e contract.Event) error {
	key, err := b.plan.deleted(e.JSON)
	if err != nil {
		return b.bad(Bad{Code: contract.CodeBadRecord, Position: e.Position, Reason: err.Error(), Raw: bytes.Clone(e.JSON)})
	}
	b.page.Records = append(b.page.Records, Record{Key: key, Position: e.Position, Deleted: true})
	return b.grow(len(key) + len(e.Position))
}

func (b *builder) bad(bad Bad) error {
	b.page.Bad = append(b.page.Bad, bad)
	return b.grow(len(bad.Raw) + len(bad.Key) + len(bad.Reason) + len(bad.Position))
}

func (b *builder) grow(bytes int) error {
	if b.size += bytes + recordCost; b.size > b.limits.PageBytes {
		return fmt.Errorf("%w: %d records and %d bad ones, more than %d bytes, since the last checkpoint; it must call Output.Checkpoint whenever Output.Due says so",
			ErrPage, len(b.page.Records), len(b.page.Bad), b.limits.PageBytes)
	}
	return nil
}

// keep copies into the page's memory.
func (b *builder) keep(data []byte) []byte {
	if len(data) > pieceBytes/4 {
		return bytes.Clone(data)
	}
	if len(b.memory)+len(data) > cap(b.memory) {
		b.memory = make([]byte, 0, pieceBytes)
	}
	start := len(b.memory)
	b.memory = append(b.memory, data...)
	return b.memory[start:len(b.memory):len(b.memory)]
}
