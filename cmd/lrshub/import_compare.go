package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
)

// An import is proved by reading again what the hub's feed has had since. Kept of each statement are a few bytes, not the statement.

// expectation is what is kept of a statement that was sent.
type expectation struct {
	digest [8]byte // the beginning of a SHA-256
	has    uint8   // which of storeSets it had
}

// storeSets are the properties that a store adds to a statement that lacks them (Data 2.3.1).
var storeSets = []string{"id", "timestamp", "stored", "authority", "version"}

// expect notes a statement that the hub acknowledged under an id.
func (i *importing) expect(l line, id string) {
	if !i.verify {
		return
	}
	key, err := uuid.Parse(id)
	if err != nil {
		return // a line without id that an earlier run sent: it cannot be found again
	}
	e, err := expectationOf(l.text, 0xff)
	if err != nil {
		return
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	i.expected[key] = e
}

// expectationOf digests a statement; of storeSets only those count that it had when it was sent.
func expectationOf(text []byte, had uint8) (e expectation, err error) {
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber() // digits as they are
	var st map[string]any
	if err := d.Decode(&st); err != nil {
		return e, err
	}
	for n, name := range storeSets {
		if _, there := st[name]; there && had&(1<<n) != 0 {
			e.has |= 1 << n
		} else {
			delete(st, name)
		}
	}
	arrays(st)
	if object, ok := st["object"].(map[string]any); ok {
		arrays(object)
	}
	plain, err := json.Marshal(st) // names in order
	if err != nil {
		return e, err
	}
	sum := sha256.Sum256(plain)
	copy(e.digest[:], sum[:])
	return e, nil
}

// arrays makes lists of single context activities, as a store returns them (Data 2.4.6.2).
func arrays(st map[string]any) {
	context, _ := st["context"].(map[string]any)
	activities, _ := context["contextActivities"].(map[string]any)
	for name, value := range activities {
		if _, list := value.([]any); !list {
			activities[name] = []any{value}
		}
	}
}

// compare reads what the feed has had since the import began, and holds it against what was sent.
func (i *importing) compare(ctx context.Context) error {
	sent := int64(len(i.expected))
	bar := progress(i.remote, sent, "reading again")
	done, err := i.hubTime(ctx)
	if err != nil {
		return err
	}
	all := func(through time.Time) bool { return len(i.expected) == 0 || through.After(done) } // what has not come then was there before
	err = i.feedUntil(ctx, i.checkpoint.Before, all, func(text []byte, _ string) error { _ = bar.Set64(i.result.New); return i.check(text) })
	_ = bar.Finish()
	if errors.Is(err, errUnsettled) {
		return exitError{exitPartly, "everything is stored, and could not be read again yet: " + err.Error()}
	}
	if err != nil {
		return fmt.Errorf("read again what was stored: %w", err)
	}
	i.result.Existing, i.result.Verified = sent-i.result.New, true
	return nil
}

// check holds one statement of the feed against what was sent.
func (i *importing) check(text []byte) error {
	var st struct {
		ID uuid.UUID `json:"id"`
	}
	if err := json.Unmarshal(text, &st); err != nil {
		return fmt.Errorf("the hub shows a statement without a UUID as id: %w", err)
	}
	want, ours := i.expected[st.ID]
	if !ours {
		return nil // somebody else's
	}
	got, err := expectationOf(text, want.has)
	if err != nil {
		return err
	}
	if got != want {
		return exitError{exitFailed, fmt.Sprintf("statement %s is not what was sent: lrshub statement get %s shows it", st.ID, st.ID)}
	}
	delete(i.expected, st.ID)
	i.result.New++
	return nil
}
