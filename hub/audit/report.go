package audit

import (
	"errors"
	"fmt"
	"strings"

	"github.com/google/uuid"
)

// ErrTampered: the log is not what it was.
var ErrTampered = errors.New("the audit log was altered")

// Place says what a finding is about.
type Place string

// Places, and what Finding.Number means there.
const (
	PlaceEvent      Place = "event"      // number of the event, from 1 (its leaf index and one); 0: it has no leaf
	PlaceColumn     Place = "column"     // likewise; Column names it
	PlaceHash       Place = "hash"       // index in audit_hash
	PlaceCheckpoint Place = "checkpoint" // size
	PlaceAnchor     Place = "anchor"     // line of the anchor file, from 1
	PlaceHead       Place = "head"       // the size that audit_head gives
	PlacePending    Place = "pending"    // 0; EventID names the row
	PlaceExport     Place = "export"     // line of the export, from 1
	PlaceKey        Place = "key"        // 0
)

// Finding is one thing that is wrong, and where.
type Finding struct {
	Place   Place     `json:"place"`
	Number  int64     `json:"number"`
	Count   int64     `json:"count,omitempty"` // how many events, from Number on; 0 and 1 mean one
	EventID uuid.UUID `json:"event_id,omitzero"`
	Column  string    `json:"column,omitempty"`
	Text    string    `json:"text"` // a sentence for people; no values
}

// How many findings and names of unsequenced events a Report lists; it counts all.
const (
	maxFindings    = 200
	maxUnsequenced = 100
)

// Report is what Verify found out.
type Report struct {
	Origin string `json:"origin"`
	Tenant int    `json:"tenant"`
	// Proved events have the bytes, columns and place that a signed checkpoint covers.
	Proved int64 `json:"proved"`
	Size   int64 `json:"size"` // events in the tree
	// Uncovered events are in the tree behind the newest checkpoint: consistent with it, but not yet signed.
	Uncovered int64 `json:"uncovered"`
	// Unsequenced events wait for the sequencer: written, but not yet in the tree. The first ones are named.
	Unsequenced    int64       `json:"unsequenced"`
	UnsequencedIDs []uuid.UUID `json:"unsequenced_ids,omitempty"`

	Checkpoints int64 `json:"checkpoints"` // of the log that hold
	Anchored    int64 `json:"anchored"`    // of the anchor that hold
	// Findings is empty if nothing is wrong. It lists the first 200 of FindingCount.
	Findings     []Finding `json:"findings,omitempty"`
	FindingCount int64     `json:"finding_count"`
	// Notices are what the reader should know though nothing is wrong: no anchor was given, the log was restarted.
	Notices []string `json:"notices,omitempty"`
}

// Err is nil if nothing is wrong, else an ErrTampered with the first finding.
func (r *Report) Err() error {
	if r.FindingCount == 0 {
		return nil
	}
	more := ""
	if r.FindingCount > 1 {
		more = fmt.Sprintf(" (and %d more findings)", r.FindingCount-1)
	}
	return fmt.Errorf("%w: %s%s", ErrTampered, r.Findings[0].Text, more)
}

// String is the report for people, some lines of text.
func (r *Report) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%d of %d events of %s proved, with %d checkpoints and %d anchored ones\n", r.Proved, r.Size, r.Origin, r.Checkpoints, r.Anchored)
	if r.Uncovered > 0 {
		fmt.Fprintf(&b, "%d events are newer than the newest checkpoint\n", r.Uncovered)
	}
	if r.Unsequenced > 0 {
		fmt.Fprintf(&b, "%d events wait for the sequencer:", r.Unsequenced)
		for _, id := range r.UnsequencedIDs[:min(5, len(r.UnsequencedIDs))] {
			fmt.Fprintf(&b, " %s", id)
		}
		if r.Unsequenced > 5 {
			b.WriteString(" ...")
		}
		b.WriteByte('\n')
	}
	for _, n := range r.Notices {
		fmt.Fprintf(&b, "note: %s\n", n)
	}
	for _, f := range r.Findings {
		fmt.Fprintf(&b, "ALTERED: %s\n", f.Text)
	}
	if more := r.FindingCount - int64(len(r.Findings)); more > 0 {
		fmt.Fprintf(&b, "and %d more findings\n", more)
	}
	return b.String()
}

func (r *Report) find(f Finding) {
	r.FindingCount++
	if len(r.Findings) < maxFindings {
		r.Findings = append(r.Findings, f)
	}
}

// events is "event 7" or "events 7 to 9", from leaf indexes [from, until).
func events(from, until int64) string {
	if until-from == 1 {
		return fmt.Sprintf("event %d", until)
	}
	return fmt.Sprintf("events %d to %d", from+1, until)
}
