package audit

import (
	"context"
	"fmt"
	"slices"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

// VerifyOptions say what the log is held against.
type VerifyOptions struct {
	// VerifierKey is the tenant's public key (Signer.VerifierKey), got when the hub was trusted. "" takes the one that the
	// source gives, which proves only that the log agrees with itself; a notice says so.
	VerifierKey string
	// Anchor is the path of the tenant's anchor file. "" for none: then a tail cut off together with its checkpoints
	// cannot be seen, and a notice says so.
	Anchor string
	// Unsigned lets a log pass that no checkpoint covers, as after a restore of what was backed up before the first one. Else that is a finding: whoever
	// can rewrite a log can also leave its checkpoints out.
	Unsigned bool
	// Progress, if not nil, is called now and then with the number of events done and of all.
	Progress func(done, total int64)
}

// Verify reads the whole log and proves it: every event's bytes against its leaf, every query column against the bytes, every stored
// hash against those below it, every checkpoint's signature and root, and the anchor's checkpoints. Memory does not
// grow with the log. The report is complete also when the log was altered: then the error is ErrTampered. Other
// errors mean that the log could not be read.
func Verify(ctx context.Context, source Source, o VerifyOptions) (*Report, error) {
	v := &verification{report: &Report{}, progress: o.Progress}
	anchor, err := openAnchorFile(o.Anchor) // before the log: it must not be newer than what is read
	if err != nil {
		return nil, err
	}
	defer anchor.close()
	if v.log, err = source.Log(ctx); err != nil {
		return nil, err
	}
	if err := v.begin(o); err != nil {
		return nil, err
	}
	if v.anchor, err = anchor.walk(v.verifier); err != nil {
		return nil, err
	}
	defer v.anchor.stop()
	for entry, err := range source.Entries(ctx) {
		if err == nil {
			err = v.take(entry)
		}
		if err != nil {
			return nil, err
		}
	}
	if err := v.end(); err != nil {
		return nil, err
	}
	if v.size > 0 && v.held == 0 && v.differ == 0 && !o.Unsigned {
		v.report.find(Finding{Place: PlaceCheckpoint, Text: fmt.Sprintf("no checkpoint covers any of the %d events: nothing of this log is signed, or its checkpoints were removed", v.size)})
	}
	if o.Anchor != "" && v.report.Anchored == 0 && v.size > 0 {
		v.report.Notices = append(v.report.Notices, "the anchor file holds no checkpoint of this log, as if none was given")
	}
	return v.report, v.report.Err()
}

// verification walks along the tree. One leaf is open at a time; it is closed when a row of a later one arrives.
type verification struct {
	log      LogSize
	size     int64 // leaves expected
	verifier note.Verifier
	report   *Report
	anchor   *anchorWalk
	progress func(done, total int64)
	forest   forest

	next int64 // the open leaf
	rank int64 // of the last row taken for it
	open openLeaf

	good          int64 // events without findings so far
	held          int64 // size of the newest checkpoint that holds
	differ        int64 // checkpoints that do not, after the first
	missing       gap
	missingHashes gap
	leaves        int64 // highest index seen and one
	hashes        int64
}

// openLeaf is what has arrived for a leaf.
type openLeaf struct {
	leaf       *LeafRow
	event      *tlog.Hash // of the event's bytes
	intact     bool       // the columns agree with the bytes
	stored     [64]*tlog.Hash
	checkpoint *CheckpointRow
}

// gap is a stretch of missing rows, told of as one.
type gap struct{ from, until int64 }

func (v *verification) begin(o VerifyOptions) (err error) {
	key := o.VerifierKey
	if key == "" {
		key = v.log.VerifierKey
		v.report.Notices = append(v.report.Notices, "the verifier key was taken from the log itself: whoever can rewrite the log can replace it; give the key published when the log was begun")
	}
	if v.verifier, err = verifierOf(key); err != nil {
		return err
	}
	if o.Anchor == "" {
		v.report.Notices = append(v.report.Notices, "no anchor file was given: events removed from the end together with their checkpoints would not be noticed")
	}
	if own, err := verifierOf(v.log.VerifierKey); v.log.VerifierKey != "" && (err != nil || own.Name() != v.verifier.Name() || own.KeyHash() != v.verifier.KeyHash()) {
		v.report.find(Finding{Place: PlaceKey, Text: fmt.Sprintf("the log names another verifier key than the one given, %s+%08x", v.verifier.Name(), v.verifier.KeyHash())})
	}
	v.report.Origin, v.report.Tenant = v.verifier.Name(), v.log.Tenant
	v.size = v.log.expected()
	v.report.Size = v.size
	v.rank = -1
	v.forest.find = v.find
	return nil
}

// find notes what the forest found out. Events that were altered together with their hashes had looked good.
func (v *verification) find(f Finding) {
	v.good = max(0, v.good-f.Count)
	v.report.find(f)
}

// take sorts a row in.
func (v *verification) take(e Entry) error {
	var at, rank int64
	switch {
	case e.Damage != nil:
		v.report.find(Finding{Place: PlaceExport, Number: e.Damage.Line, Text: fmt.Sprintf("line %d of the export: %s", e.Damage.Line, e.Damage.Text)})
		return nil
	case e.Loose != nil:
		if err := v.advance(v.size); err != nil {
			return err
		}
		v.takeLoose(e.Loose)
		return nil
	case e.Leaf != nil:
		at, rank = e.Leaf.Index, 0
		v.leaves = max(v.leaves, at+1)
	case e.Hash != nil:
		at, rank = leafOf(e.Hash.Index), 1
		if at >= 0 && at < impossible {
			rank += e.Hash.Index - tlog.StoredHashIndex(0, at)
		}
		v.hashes = max(v.hashes, e.Hash.Index+1)
	default:
		at, rank = e.Checkpoint.Size-1, 100
	}
	if at < 0 || at >= v.size {
		v.misfit(e, fmt.Sprintf("has no place in a log of %d events", v.size))
		return nil
	}
	if at < v.next || at == v.next && rank <= v.rank {
		v.misfit(e, "stands out of order or twice")
		return nil
	}
	if err := v.advance(at); err != nil {
		return err
	}
	v.rank = rank
	v.put(e)
	return nil
}

// put adds a row to the open leaf.
func (v *verification) put(e Entry) {
	switch {
	case e.Leaf != nil:
		v.open.leaf = e.Leaf
		if e.Leaf.Event != nil {
			hash := tlog.RecordHash(e.Leaf.Event.Canonical)
			v.open.event = &hash
			v.open.intact = v.columns(e.Leaf.Event, e.Leaf.Index+1, e.Leaf.EventID)
		}
	case e.Hash != nil:
		hash := &tlog.Hash{}
		copy(hash[:], e.Hash.Hash) // another length gives another hash
		v.open.stored[v.rank-1] = hash
	default:
		v.open.checkpoint = e.Checkpoint
	}
}

// misfit tells of a row of the tree that has no place in it.
func (v *verification) misfit(e Entry, why string) {
	switch {
	case e.Leaf != nil:
		v.report.find(Finding{Place: PlaceEvent, Number: e.Leaf.Index + 1, EventID: e.Leaf.EventID, Text: fmt.Sprintf("row %d of audit_leaf (event %s) %s", e.Leaf.Index, e.Leaf.EventID, why)})
	case e.Hash != nil:
		v.report.find(Finding{Place: PlaceHash, Number: e.Hash.Index, Text: fmt.Sprintf("row %d of audit_hash %s", e.Hash.Index, why)})
	default:
		c, err := OpenCheckpoint(e.Checkpoint.Note, v.verifier)
		if err == nil && c.Size == e.Checkpoint.Size && c.Size > v.size {
			why = fmt.Sprintf("covers %s, which are missing: the log has %d", events(v.size, c.Size), v.size)
		}
		v.report.find(Finding{Place: PlaceCheckpoint, Number: e.Checkpoint.Size, Text: fmt.Sprintf("the stored checkpoint of size %d %s", e.Checkpoint.Size, why)})
	}
}

// widestGap is how many leaves without any row are walked over one by one. Behind a wider gap nothing can be proved.
const widestGap = 1 << 16

// advance closes the leaves before that one.
func (v *verification) advance(to int64) error {
	for v.next < to {
		if v.rank < 0 && to-v.next > widestGap {
			v.lacks(&v.missing, v.next, to)
			v.lacks(&v.missingHashes, tlog.StoredHashCount(v.next), tlog.StoredHashCount(to))
			v.forest.lose(to)
			v.next = to
			return v.anchor.skip(to)
		}
		if err := v.close(); err != nil {
			return err
		}
	}
	return nil
}

// close puts the open leaf into the tree and holds checkpoints of that size against it.
func (v *verification) close() error {
	i, leaf := v.next, &v.open
	if leaf.event == nil {
		v.lacks(&v.missing, i, i+1)
	} else {
		v.tellMissing()
		if own := leaf.stored[0]; leaf.intact && (own == nil || *own == *leaf.event) {
			v.good++
		}
	}
	v.forest.add(i, leaf.event, func(level int) *tlog.Hash {
		if leaf.stored[level] == nil {
			index := tlog.StoredHashIndex(level, i>>level)
			v.lacks(&v.missingHashes, index, index+1)
		} else {
			v.tellMissingHashes()
		}
		return leaf.stored[level]
	})
	v.next++
	if err := v.checkpoints(leaf.checkpoint); err != nil {
		return err
	}
	v.open, v.rank = openLeaf{}, -1
	if v.progress != nil && (v.next%chunk == 0 || v.next == v.size) {
		v.progress(v.next, v.size)
	}
	return nil
}

// lacks widens the gap, or tells of it and begins another.
func (v *verification) lacks(g *gap, from, until int64) {
	if g.until == from && g.until > g.from {
		g.until = until
		return
	}
	if g == &v.missing {
		v.tellMissing()
	} else {
		v.tellMissingHashes()
	}
	*g = gap{from, until}
}

func (v *verification) tellMissing() {
	g := v.missing
	if v.missing = (gap{}); g.until == g.from {
		return
	}
	verb := "are"
	if g.until-g.from == 1 {
		verb = "is"
	}
	v.report.find(Finding{Place: PlaceEvent, Number: g.from + 1, Count: g.until - g.from,
		Text: fmt.Sprintf("%s %s missing: no row in audit_event, or none in audit_leaf", events(g.from, g.until), verb)})
}

func (v *verification) tellMissingHashes() {
	g := v.missingHashes
	if v.missingHashes = (gap{}); g.until == g.from {
		return
	}
	text := fmt.Sprintf("row %d of audit_hash is missing", g.from)
	if g.until-g.from > 1 {
		text = fmt.Sprintf("rows %d to %d of audit_hash are missing", g.from, g.until-1)
	}
	v.report.find(Finding{Place: PlaceHash, Number: g.from, Text: text})
}

// columns holds the query columns against the bytes beside them. number is 0 for an event without a leaf.
func (v *verification) columns(row *EventRow, number int64, id [16]byte) bool {
	name := fmt.Sprintf("event %d (%s)", number, row.ID)
	if number == 0 {
		name = fmt.Sprintf("event %s, which waits for the sequencer,", row.ID)
	}
	w, err := Decode(row.Canonical)
	if err != nil {
		v.report.find(Finding{Place: PlaceEvent, Number: number, EventID: row.ID, Text: name + ": its bytes are no audit event of a known format"})
		return false
	}
	altered := []struct {
		column  string
		altered bool
	}{
		{"tenant_id", int(w.Tenant) != v.log.Tenant},
		{"id", w.ID != row.ID || w.ID != id},
		{"at", !w.At.Equal(row.At) || row.Unreadable == "at"},
		{"kind", w.Kind != row.Kind},
		{"actor", w.Actor != row.Actor},
		{"purpose", w.Purpose != row.Purpose},
		{"subjects", !slices.Equal(w.Subjects, row.Subjects) || row.Unreadable == "subjects"},
	}
	intact := true
	for _, c := range altered {
		if c.altered {
			intact = false
			v.report.find(Finding{Place: PlaceColumn, Number: number, EventID: row.ID, Column: c.column,
				Text: fmt.Sprintf("column %s of %s was altered: it is not what the event's bytes say", c.column, name)})
		}
	}
	return intact
}
