package audit

import (
	"context"
	"crypto/rand"
	"errors"
	"iter"
	"runtime"
	"slices"
	"testing"

	"golang.org/x/mod/sumdb/tlog"
	"pgregory.net/rapid"
)

// made is a log that exists only as a Source: n events, each made when it is asked for.
type made struct {
	signer *Signer
	n      int64
	every  int64 // a checkpoint each so many events
	spoil  func(Entry) []Entry
}

func (m made) Log(context.Context) (LogSize, error) {
	return LogSize{Version: exportVersion, Tenant: 1, Head: m.n, Leaves: m.n, Hashes: tlog.StoredHashCount(m.n)}, nil
}

func (m made) Entries(context.Context) iter.Seq2[Entry, error] {
	return func(yield func(Entry, error) bool) {
		hashes := storedHashes{}
		for i := range m.n {
			at := start.Add(0).UTC()
			e := event(int(i))
			e.ID, _ = newID(at, uint32(i), zeros{})
			canonical, err := e.Encode(1, at)
			if err != nil {
				yield(Entry{}, err)
				return
			}
			w := must(Decode(canonical))
			entries := []Entry{{Leaf: &LeafRow{Index: i, EventID: e.ID, Event: &EventRow{ID: w.ID, At: w.At, Kind: w.Kind, Actor: w.Actor, Purpose: w.Purpose, Subjects: w.Subjects, Canonical: canonical}}}}
			for level, h := range must(tlog.StoredHashes(i, canonical, hashes)) {
				index := tlog.StoredHashIndex(level, i>>level)
				hashes[index] = h
				entries = append(entries, Entry{Hash: &HashRow{index, slices.Clone(h[:])}})
			}
			if (i+1)%m.every == 0 || i+1 == m.n {
				root := must(tlog.TreeHash(i+1, hashes))
				entries = append(entries, Entry{Checkpoint: &CheckpointRow{i + 1, must(m.signer.sign(1, i+1, root, 0)).Note}})
				keep := storedHashes{} // only the edge: this source must not grow either
				for _, index := range edge(i + 1) {
					keep[index] = hashes[index]
				}
				hashes = keep
			}
			for _, entry := range entries {
				for _, spoilt := range m.spoil(entry) {
					if !yield(spoilt, nil) {
						return
					}
				}
			}
		}
	}
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

func intact(e Entry) []Entry { return []Entry{e} }

func newSigner(t testing.TB) *Signer {
	t.Helper()
	s, err := OpenSigner(t.TempDir(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// TestSeveralThingsAltered: whatever is altered, it is found, no altered event counts as proved, and what stands alone is named.
func TestSeveralThingsAltered(t *testing.T) {
	signer := newSigner(t)
	o := VerifyOptions{VerifierKey: signer.VerifierKey(1)}
	rapid.Check(t, func(t *rapid.T) {
		m := made{signer: signer, n: rapid.Int64Range(1, 150).Draw(t, "events"), every: rapid.Int64Range(1, 40).Draw(t, "every")}
		events := rapid.SliceOfNDistinct(rapid.Int64Range(0, m.n-1), 0, 3, rapid.ID).Draw(t, "altered events")
		gone := rapid.SliceOfNDistinct(rapid.Int64Range(0, m.n-1), 0, 3, rapid.ID).Draw(t, "removed events")
		hashes := rapid.SliceOfNDistinct(rapid.Int64Range(0, tlog.StoredHashCount(m.n)-1), 0, 3, rapid.ID).Draw(t, "altered hashes")
		lost := rapid.SliceOfNDistinct(rapid.Int64Range(0, tlog.StoredHashCount(m.n)-1), 0, 3, rapid.ID).Draw(t, "removed hashes")
		m.spoil = func(e Entry) []Entry {
			switch {
			case e.Leaf != nil && slices.Contains(gone, e.Leaf.Index), e.Hash != nil && slices.Contains(lost, e.Hash.Index):
				return nil
			case e.Leaf != nil && slices.Contains(events, e.Leaf.Index):
				e.Leaf.Event.Canonical[10] ^= 1
			case e.Hash != nil && slices.Contains(hashes, e.Hash.Index):
				e.Hash.Hash[10] ^= 1
			}
			return []Entry{e}
		}
		r, err := Verify(context.Background(), m, o)
		touched := len(events) + len(gone) + len(hashes) + len(lost)
		if touched == 0 {
			if err != nil || r.Proved != m.n {
				t.Fatalf("nothing was altered: %v\n%v", err, r)
			}
			return
		}
		if !errors.Is(err, ErrTampered) {
			t.Fatalf("not caught: %v\n%v", err, r)
		}
		bad := map[int64]bool{}
		for _, i := range slices.Concat(events, gone) {
			bad[i] = true
		}
		if r.Proved > m.n-int64(len(bad)) {
			t.Fatalf("%d of %d proved, but %d were altered or removed\n%v", r.Proved, m.n, len(bad), r)
		}
		for _, i := range gone {
			if !names(r, PlaceEvent, i+1) {
				t.Fatalf("the removed event %d is not named\n%v", i+1, r)
			}
		}
		if touched == len(events) {
			for _, i := range events {
				if !names(r, PlaceEvent, i+1) {
					t.Fatalf("the altered event %d is not named\n%v", i+1, r)
				}
			}
		}
	})
}

// names says whether a finding is about that place, alone or in a stretch.
func names(r *Report, place Place, number int64) bool {
	return slices.ContainsFunc(r.Findings, func(f Finding) bool {
		return f.Place == place && number >= f.Number && number < f.Number+max(1, f.Count)
	})
}

func TestMemoryDoesNotGrowWithTheLog(t *testing.T) {
	signer := newSigner(t)
	var after []uint64
	r, err := Verify(t.Context(), made{signer: signer, n: 40_000, every: 500, spoil: intact}, VerifyOptions{VerifierKey: signer.VerifierKey(1), Progress: func(done, total int64) {
		if done == 8_000 || done == 40_000 {
			runtime.GC()
			var m runtime.MemStats
			runtime.ReadMemStats(&m)
			after = append(after, m.HeapAlloc)
		}
	}})
	if err != nil || r.Proved != 40_000 || r.Checkpoints != 80 {
		t.Fatalf("%v\n%v", err, r)
	}
	if len(after) != 2 || after[1] > after[0]+1<<20 {
		t.Fatalf("heap after 8,000 and 40,000 events: %v bytes", after)
	}
}
