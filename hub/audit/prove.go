package audit

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/google/uuid"
	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/lrshub/lrshub/hub/database"
)

var (
	// ErrProof: a proof does not prove what it says.
	ErrProof = errors.New("audit proof not valid")
	// ErrUnknownEvent: the tenant's log has no such event.
	ErrUnknownEvent = errors.New("no such audit event")
	// ErrNotCovered: the event or size is not under a checkpoint yet.
	ErrNotCovered = errors.New("not under a checkpoint yet")
)

const proofVersion = 1

// Proof shows that one event stands in the log, to anyone who has the verifier key. Marshal it as JSON.
type Proof struct {
	Version    int         `json:"version"`
	Index      int64       `json:"index"`     // of the leaf, from 0
	Canonical  []byte      `json:"canonical"` // the event's bytes, base64
	Hashes     []tlog.Hash `json:"hashes"`    // RFC 6962 inclusion proof (audit path), base64
	Checkpoint string      `json:"checkpoint"`
}

// Prove makes the proof for an event against the newest checkpoint. ErrUnknownEvent and ErrNotCovered say what is wrong; the
// second one passes within seconds.
func Prove(ctx context.Context, tx *database.Tx, event uuid.UUID, verifierKey string) (Proof, error) {
	verifier, err := verifierOf(verifierKey)
	if err != nil {
		return Proof{}, err
	}
	p := Proof{Version: proofVersion}
	var index sql.NullInt64
	err = tx.QueryRowContext(ctx, `
		SELECT e.canonical, l.index FROM audit_event e LEFT JOIN audit_leaf l ON l.tenant_id = e.tenant_id AND l.event_id = e.id
		WHERE e.tenant_id = $1 AND e.id = $2`, tx.Tenant, event[:]).Scan(&p.Canonical, &index)
	if errors.Is(err, sql.ErrNoRows) {
		return Proof{}, fmt.Errorf("%w: %s; `lrshub audit list` shows those there are", ErrUnknownEvent, event)
	}
	if err != nil {
		return Proof{}, fmt.Errorf("prove event %s: %w", event, err)
	}
	c, err := newestCheckpoint(ctx, tx, verifier)
	if err != nil {
		return Proof{}, fmt.Errorf("prove event %s: %w", event, err)
	}
	if p.Index = index.Int64; !index.Valid || p.Index >= c.Size {
		return Proof{}, fmt.Errorf("%w: event %s is written, and covered by a checkpoint within seconds if a worker runs; try again", ErrNotCovered, event)
	}
	if p.Hashes, err = tlog.ProveRecord(c.Size, p.Index, hashReader(ctx, tx)); err != nil {
		return Proof{}, fmt.Errorf("prove event %s: %w", event, err)
	}
	p.Checkpoint = c.Note
	if _, err := VerifyProof(p, verifierKey); err != nil {
		return Proof{}, fmt.Errorf("prove event %s: %w: the log does not agree with its checkpoint; run `lrshub audit verify`: %w", event, ErrDamaged, err)
	}
	return p, nil
}

// VerifyProof checks a proof with the tenant's verifier key and returns the event that it proves.
func VerifyProof(p Proof, verifierKey string) (Written, error) {
	verifier, err := verifierOf(verifierKey)
	if err != nil {
		return Written{}, err
	}
	if p.Version != proofVersion {
		return Written{}, fmt.Errorf("%w: format version %d, this lrshub knows %d", ErrProof, p.Version, proofVersion)
	}
	c, err := OpenCheckpoint(p.Checkpoint, verifier)
	if err != nil {
		return Written{}, fmt.Errorf("%w: %w", ErrProof, err)
	}
	if p.Index < 0 || p.Index >= c.Size {
		return Written{}, fmt.Errorf("%w: leaf %d lies outside its checkpoint of size %d", ErrProof, p.Index, c.Size)
	}
	if err := tlog.CheckRecord(p.Hashes, c.Size, c.Root, p.Index, tlog.RecordHash(p.Canonical)); err != nil {
		return Written{}, fmt.Errorf("%w: the event is not leaf %d of the log of that checkpoint", ErrProof, p.Index)
	}
	return Decode(p.Canonical)
}

// ParseProof reads a proof from JSON.
func ParseProof(document []byte) (p Proof, err error) {
	if err := json.Unmarshal(document, &p); err != nil {
		return Proof{}, fmt.Errorf("%w: it is not the JSON that `lrshub audit prove` writes: %w", ErrProof, err)
	}
	return p, nil
}

// Consistency shows that a newer checkpoint's log extends an older one's. Marshal it as JSON.
type Consistency struct {
	Version int         `json:"version"`
	Older   string      `json:"older"` // checkpoints
	Newer   string      `json:"newer"`
	Hashes  []tlog.Hash `json:"hashes"` // RFC 6962 consistency proof, base64
}

// ProveConsistency makes the proof that the newest checkpoint's log extends an older one's, which someone kept.
func ProveConsistency(ctx context.Context, tx *database.Tx, older, verifierKey string) (Consistency, error) {
	verifier, err := verifierOf(verifierKey)
	if err != nil {
		return Consistency{}, err
	}
	before, err := OpenCheckpoint(older, verifier)
	if err != nil {
		return Consistency{}, err
	}
	now, err := newestCheckpoint(ctx, tx, verifier)
	if err != nil {
		return Consistency{}, fmt.Errorf("prove consistency: %w", err)
	}
	if before.Size > now.Size {
		return Consistency{}, fmt.Errorf("%w: the checkpoint given has %d events, the newest of the log has %d; run `lrshub audit verify` with the anchor", ErrNotCovered, before.Size, now.Size)
	}
	p := Consistency{Version: proofVersion, Older: older, Newer: now.Note}
	if before.Size > 0 {
		if p.Hashes, err = tlog.ProveTree(now.Size, before.Size, hashReader(ctx, tx)); err != nil {
			return Consistency{}, fmt.Errorf("prove consistency: %w", err)
		}
	}
	return p, VerifyConsistency(p, verifierKey)
}

// VerifyConsistency checks that no event which the older checkpoint covers was altered, removed or moved in the log of the newer.
func VerifyConsistency(p Consistency, verifierKey string) error {
	verifier, err := verifierOf(verifierKey)
	if err != nil {
		return err
	}
	if p.Version != proofVersion {
		return fmt.Errorf("%w: format version %d, this lrshub knows %d", ErrProof, p.Version, proofVersion)
	}
	older, newer, err := openBoth(p, verifier)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrProof, err)
	}
	if older.Size == 0 && len(p.Hashes) == 0 {
		return nil // the empty log is the beginning of every log
	}
	if older.Size == 0 || older.Size > newer.Size || tlog.CheckTree(p.Hashes, newer.Size, newer.Root, older.Size, older.Root) != nil {
		return fmt.Errorf("%w: the log of %d events does not extend the log of %d", ErrProof, newer.Size, older.Size)
	}
	return nil
}

func openBoth(p Consistency, verifier note.Verifier) (older, newer Checkpoint, err error) {
	if older, err = OpenCheckpoint(p.Older, verifier); err != nil {
		return older, newer, fmt.Errorf("the older: %w", err)
	}
	if newer, err = OpenCheckpoint(p.Newer, verifier); err != nil {
		return older, newer, fmt.Errorf("the newer: %w", err)
	}
	return older, newer, nil
}

// hashReader reads stored hashes for tlog.
func hashReader(ctx context.Context, tx *database.Tx) tlog.HashReader {
	return tlog.HashReaderFunc(func(indexes []int64) ([]tlog.Hash, error) {
		found, err := readHashes(ctx, tx, indexes)
		if err != nil {
			return nil, err
		}
		return found.ReadHashes(indexes)
	})
}
