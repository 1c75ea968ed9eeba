package ingest

import (
	"bytes"
	"context"
	"crypto/sha1"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/google/uuid"

	"github.com/lrshub/lrshub/hub/access"
	"github.com/lrshub/lrshub/hub/audit"
	"github.com/lrshub/lrshub/hub/database"
	"github.com/lrshub/lrshub/hub/people"
	"github.com/lrshub/lrshub/hub/records"
	"github.com/lrshub/lrshub/hub/vault"
	"github.com/lrshub/lrshub/hub/xapi"
)

var (
	// ErrPrecondition: If-Match or If-None-Match does not hold (xAPI answers 412).
	ErrPrecondition = errors.New("ingest: the document is not in the state that the request expects")
	// ErrUnconditional: a document is there, and the request does not say that it knows (xAPI answers 409).
	ErrUnconditional = errors.New("ingest: there is such a document already")
	// ErrNoPrecondition: the request must say what it knows of the document, whether there is one or not (xAPI 1.0.3 answers 400).
	ErrNoPrecondition = errors.New("ingest: the request does not say what it knows of the document")
	// ErrMerge: the documents cannot be merged (xAPI answers 400).
	ErrMerge = errors.New("ingest: documents can be merged only where both are JSON objects of type application/json")
)

// Document is a document as a client sends it.
type Document struct {
	Content     []byte
	ContentType string
}

// Precondition is what a request says of the document that it changes (RFC 9110 section 13, Communication 3.1). The zero value says nothing.
type Precondition struct {
	Match     []string // entity tags, with quotes; or "*": any document
	NoneMatch []string
	Required  bool // where a document is there, one of the two must be said
	Always    bool // and where none is, too
}

// ETag is the entity tag of a document: the SHA-1 of its content (Communication 3.1), in quotes.
func ETag(content []byte) string {
	sum := sha1.Sum(content)
	return `"` + hex.EncodeToString(sum[:]) + `"`
}

// check holds the precondition against the content that is there; nil: none is.
func (p Precondition) check(there bool, content []byte) error {
	matches := func(tags []string) bool {
		return there && (slices.Contains(tags, "*") || slices.Contains(tags, ETag(content)))
	}
	switch {
	case p.Match != nil && !matches(p.Match), p.NoneMatch != nil && matches(p.NoneMatch):
		return ErrPrecondition
	case p.Match != nil || p.NoneMatch != nil:
		return nil
	case p.Required && there:
		return ErrUnconditional
	case p.Always:
		return ErrNoPrecondition
	}
	return nil
}

// PutDocument stores a document in the place of one that may be there. Errors: ErrPrecondition, ErrUnconditional.
func (r *Road) PutDocument(ctx context.Context, caller access.Caller, name records.DocumentName, d Document, p Precondition) error {
	return r.changeDocument(ctx, caller, name, true, func(*Document) (*Document, error) { return &d, nil }, p)
}

// MergeDocument stores a document, or puts the properties of a JSON object into one that is there (Communication 2.2). Errors: ErrPrecondition, ErrMerge.
func (r *Road) MergeDocument(ctx context.Context, caller access.Caller, name records.DocumentName, d Document, p Precondition) error {
	return r.changeDocument(ctx, caller, name, true, func(old *Document) (*Document, error) {
		if isJSON(d.ContentType) && !jsontext.Value(d.Content).IsValid() {
			return nil, ErrMerge
		}
		if old == nil {
			return &d, nil
		}
		if !isJSON(old.ContentType) || !isJSON(d.ContentType) {
			return nil, ErrMerge
		}
		merged, err := xapi.MergeObjects(old.Content, d.Content)
		if err != nil {
			return nil, ErrMerge
		}
		return &Document{merged, d.ContentType}, nil
	}, p)
}

// DeleteDocument deletes a document; one that is not there is as good as deleted. Errors: ErrPrecondition.
func (r *Road) DeleteDocument(ctx context.Context, caller access.Caller, name records.DocumentName, p Precondition) error {
	return r.changeDocument(ctx, caller, name, false, func(*Document) (*Document, error) { return nil, nil }, p)
}

// DeleteStates deletes all states of an agent in an activity, or those of one registration.
func (r *Road) DeleteStates(ctx context.Context, caller access.Caller, name records.DocumentName) error {
	return r.document(ctx, caller, name, false, func(ctx context.Context, tx *database.Tx, key records.DocumentKey) error {
		n, err := records.DeleteDocuments(ctx, tx, key)
		if err != nil || n == 0 {
			return err
		}
		return r.recordDocument(ctx, tx, caller, audit.DocumentDeleted, key, map[string]any{"documents": n})
	})
}

// attempts bounds how often a change starts anew because another was first to make the document.
const attempts = 5

// changeDocument does one change of one document: change gets what is there (nil: nothing) and gives what is to be there (nil: nothing).
func (r *Road) changeDocument(ctx context.Context, caller access.Caller, name records.DocumentName, keeps bool, change func(*Document) (*Document, error), p Precondition) error {
	for range attempts {
		first := true
		err := r.document(ctx, caller, name, keeps, func(ctx context.Context, tx *database.Tx, key records.DocumentKey) error {
			first = true
			owner, err := r.vault.Owner(ctx, tx, key.Subject)
			if err != nil {
				return err
			}
			old, err := lockDocument(ctx, tx, key, owner)
			if err != nil {
				return err
			}
			var content []byte
			if old != nil {
				content = old.Content
			}
			if err := p.check(old != nil, content); err != nil {
				return err
			}
			fresh, err := change(old)
			if err != nil || fresh == nil && old == nil {
				return err
			}
			first, err = r.writeDocument(ctx, tx, caller, key, name, owner, old != nil, fresh)
			return err
		})
		if err != nil || first {
			return err
		}
	}
	return fmt.Errorf("%w: others change this document all the time", ErrPrecondition)
}

// document runs a transaction with the key of a name. keeps: a document may be stored, so an agent that nobody knows yet gets a subject.
func (r *Road) document(ctx context.Context, caller access.Caller, name records.DocumentName, keeps bool, do func(context.Context, *database.Tx, records.DocumentKey) error) error {
	err := r.db.Tenant(ctx, caller.Tenant, func(ctx context.Context, tx *database.Tx) error {
		t, err := r.vault.Tenant(tx.Tenant)
		if err != nil {
			return err
		}
		purpose, err := people.FindPurpose(ctx, tx, caller.Purpose)
		if err != nil {
			return err
		}
		subject, err := r.documentOwner(ctx, tx, name.Agent, keeps)
		if err != nil {
			return err
		}
		return do(ctx, tx, name.Key(t, purpose.ID, subject))
	})
	if err != nil {
		return fmt.Errorf("change document: %w", err)
	}
	return nil
}

// documentOwner gives the subject of a document's agent; Nil where there is no agent, or nobody knows it and nothing is kept: no document has that one.
func (r *Road) documentOwner(ctx context.Context, tx *database.Tx, agent xapi.Identifier, keeps bool) (uuid.UUID, error) {
	if agent.IsZero() {
		return uuid.Nil, nil
	}
	if keeps {
		subjects, err := r.vault.Resolve(ctx, tx, []xapi.Identifier{agent})
		if err != nil {
			return uuid.Nil, err
		}
		return subjects.Of(agent).ID, nil
	}
	subject, err := r.vault.Find(ctx, tx, agent)
	if errors.Is(err, vault.ErrUnknownSubject) {
		return uuid.Nil, nil
	}
	return subject, err
}

// lockDocument reads what is there; nil: nothing.
func lockDocument(ctx context.Context, tx *database.Tx, key records.DocumentKey, owner vault.Sealer) (*Document, error) {
	stored, err := records.FindDocument(ctx, tx, key, true)
	if errors.Is(err, records.ErrNoDocument) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	label, err := owner.Open(key.LabelContext(), stored.Label)
	if err != nil {
		return nil, err
	}
	var l records.Label
	if err := json.Unmarshal(label, &l); err != nil {
		return nil, fmt.Errorf("label of a document: %w", err)
	}
	content, err := owner.Open(key.ContentContext(), stored.Content)
	return &Document{content, l.ContentType}, err
}

// writeDocument stores or deletes, and tells of it. first is false where another transaction made the document in the meantime.
func (r *Road) writeDocument(ctx context.Context, tx *database.Tx, caller access.Caller, key records.DocumentKey, name records.DocumentName, owner vault.Sealer,
	there bool, fresh *Document) (first bool, err error) {
	if fresh == nil {
		if err := records.DeleteDocument(ctx, tx, key); err != nil {
			return false, err
		}
		return true, r.recordDocument(ctx, tx, caller, audit.DocumentDeleted, key, map[string]any{"documents": 1})
	}
	d := records.Document{DocumentKey: key, Updated: r.now()}
	label, err := json.Marshal(records.Label{ID: name.ID, Activity: name.Activity, ContentType: fresh.ContentType})
	if err != nil {
		return false, err
	}
	if d.Label, err = owner.Seal(key.LabelContext(), label); err != nil {
		return false, err
	}
	if d.Content, err = owner.Seal(key.ContentContext(), fresh.Content); err != nil {
		return false, err
	}
	if there {
		err = records.ReplaceDocument(ctx, tx, d)
	} else if first, err = records.AddDocument(ctx, tx, d); err == nil && !first {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	return true, r.recordDocument(ctx, tx, caller, audit.DocumentStored, key, map[string]any{"size": len(fresh.Content), "replaced": there})
}

func (r *Road) recordDocument(ctx context.Context, tx *database.Tx, caller access.Caller, kind string, key records.DocumentKey, fields map[string]any) error {
	fields["resource"] = key.Kind.String()
	e := audit.Event{Kind: kind, Actor: caller.Client.String(), Purpose: caller.Purpose, Fields: fields}
	if key.Subject != uuid.Nil {
		e.Subjects = []uuid.UUID{key.Subject}
	}
	return audit.Record(ctx, tx, r.now(), e)
}

// isJSON tells whether a document's type is application/json, whatever its parameters.
func isJSON(contentType string) bool {
	kind, _, _ := bytes.Cut([]byte(contentType), []byte(";"))
	return bytes.EqualFold(bytes.TrimSpace(kind), []byte("application/json"))
}
