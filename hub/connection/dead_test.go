package connection

import (
	"bytes"
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/lrshub/lrshub/hub/database"
	"github.com/lrshub/lrshub/hub/database/databasetest"
	"github.com/lrshub/lrshub/hub/vault"
	"github.com/lrshub/lrshub/hub/xapi"
)

// letters adds one letter a key, in quarantine.
func (w *world) letters(c Connection, run uuid.UUID, keys ...[]byte) {
	w.Helper()
	w.do(databasetest.Default, func(ctx context.Context, tx *database.Tx) error {
		var list []DeadLetter
		for _, k := range keys {
			list = append(list, DeadLetter{Connection: c.ID, Run: run, Stream: "results", Key: k, Position: "results.csv:" + string(k),
				Code: "bad_record", Reason: "column 3 is missing", Mapping: 1, Record: append([]byte("raw "), k...)})
		}
		return AddDeadLetters(ctx, tx, w.keys(databasetest.Default), nil, now, list)
	})
}

func (w *world) open(c Connection, after uuid.UUID, limit int) (list []DeadLetter) {
	w.Helper()
	w.do(databasetest.Default, func(ctx context.Context, tx *database.Tx) (err error) {
		list, err = OpenDeadLetters(ctx, tx, w.vault, c.ID, after, limit)
		return err
	})
	return list
}

func TestDeadLettersAreSealed(t *testing.T) {
	w := newWorld(t)
	c := w.add(databasetest.Default, "results")
	run := uuid.New()
	learner := xapi.Identifier{Kind: xapi.Account, HomePage: "https://example.org", Name: "learner-7"}
	var subject uuid.UUID
	w.do(databasetest.Default, func(ctx context.Context, tx *database.Tx) error {
		subjects, err := w.vault.Resolve(ctx, tx, []xapi.Identifier{learner})
		if err != nil {
			return err
		}
		subject = subjects.Of(learner).ID
		return AddDeadLetters(ctx, tx, w.keys(databasetest.Default), subjects, now, []DeadLetter{
			{Connection: c.ID, Run: run, Stream: "results", Key: []byte("a"), Code: "mapping", Mapping: 1, Generation: 3, Subject: learner, Record: []byte(`{"score":"x1"}`)},
			{Connection: c.ID, Run: run, Stream: "results", Key: []byte("b"), Code: "bad\x00\xff", Record: []byte(`x2,"`)},
			{Connection: c.ID, Run: run, Stream: "results", Key: []byte("c"), Code: "too_large"},
		})
	})
	got := map[string]DeadLetter{}
	for _, l := range w.open(c, uuid.Nil, 10) {
		got[string(l.Key)] = l
	}
	if l := got["a"]; string(l.Record) != `{"score":"x1"}` || l.SubjectID.UUID != subject || l.Generation != 3 || !l.At.Equal(now) {
		t.Errorf("the learner's letter: %+v", l)
	}
	if l := got["b"]; string(l.Record) != `x2,"` || l.SubjectID.Valid || l.Code != "bad\uFFFD\uFFFD" {
		t.Errorf("the letter in quarantine: %+v", l)
	}
	if l, ok := got["c"]; !ok || l.Record != nil {
		t.Errorf("the letter without content: %+v", l)
	}
	if n := w.count(databasetest.Default, `SELECT count(*) FROM dead_letter WHERE position('score":"x1'::bytea IN sealed) > 0 OR position('x2,"'::bytea IN sealed) > 0`); n != 0 {
		t.Error("content stands in clear")
	}
	if n := w.count(databasetest.Default, `SELECT count(*) FROM dead_letter WHERE epoch = 202611 AND subject_id IS NULL`); n != 2 {
		t.Errorf("%d letters in this month's quarantine, want 2", n)
	}
	// The key of an erased person opens nothing, and nothing else fails for it.
	w.do(databasetest.Default, func(ctx context.Context, tx *database.Tx) error {
		_, err := tx.ExecContext(ctx, "DELETE FROM subject_key WHERE tenant_id = $1 AND subject_id = $2 AND class = $3", tx.Tenant, subject, vault.Learning)
		return err
	})
	for _, l := range w.open(c, uuid.Nil, 10) {
		if string(l.Key) == "a" && l.Record != nil {
			t.Error("an erased person's letter still opens")
		}
	}
}

func TestDeadLettersOfARecord(t *testing.T) {
	w := newWorld(t)
	c, other := w.add(databasetest.Default, "results"), w.add(databasetest.Default, "other")
	run := uuid.New()
	var keys [][]byte
	for i := range 25 {
		keys = append(keys, fmt.Appendf(nil, "%02d", i))
	}
	w.letters(c, run, keys...)
	first := w.open(c, uuid.Nil, 10)
	w.letters(c, uuid.New(), first[3].Key, first[3].Key, []byte("new")) // again, twice in one page, and another
	w.letters(other, run, keys[:2]...)
	seen := map[string]int{}
	for after := uuid.Nil; ; {
		page := w.open(c, after, 10)
		if len(page) == 0 {
			break
		}
		for _, l := range page {
			seen[string(l.Key)]++
			if !bytes.HasSuffix(l.Record, l.Key) {
				t.Errorf("letter %s holds %q", l.Key, l.Record)
			}
		}
		after = page[len(page)-1].ID
	}
	if len(seen) != 26 || seen[string(first[3].Key)] != 1 {
		t.Errorf("%d records have letters, want 26; the repeated one %d", len(seen), seen[string(first[3].Key)])
	}
	w.do(databasetest.Default, func(ctx context.Context, tx *database.Tx) error {
		return CloseDeadLetters(ctx, tx, c.ID, "results", keys, DeadSuperseded)
	})
	w.do(databasetest.Default, func(ctx context.Context, tx *database.Tx) error {
		counts, err := CountDeadLetters(ctx, tx, c.ID)
		if err != nil || len(counts) != 1 || counts[0] != (DeadCount{Stream: "results", Code: "bad_record", Count: 1}) {
			t.Errorf("counts: %+v, %v", counts, err)
		}
		list, err := ListDeadLetters(ctx, tx, other.ID, uuid.Nil, 10)
		if err != nil || len(list) != 2 || list[0].Record != nil {
			t.Errorf("the other connection's letters: %+v, %v", list, err)
		}
		return nil
	})
	if n := w.count(databasetest.Default, "SELECT count(*) FROM dead_letter WHERE state = 'superseded' AND length(sealed) = 0"); n != 25 {
		t.Errorf("%d closed letters without content, want 25", n)
	}
	w.letters(c, run, keys[0]) // a closed letter does not keep the record from dying again
	if n := len(w.open(c, uuid.Nil, 10)); n != 2 {
		t.Errorf("%d open letters, want 2", n)
	}
	w.do(databasetest.Default, func(ctx context.Context, tx *database.Tx) error {
		if n, err := PurgeDeadLetters(ctx, tx, now); err != nil || n != 0 {
			t.Errorf("purged %d letters that are not old, %v", n, err)
		}
		n, err := PurgeDeadLetters(ctx, tx, now.Add(time.Second))
		if err != nil || n != 29 {
			t.Errorf("purged %d, want 29, %v", n, err)
		}
		return nil
	})
}
