package disclose

import (
	"encoding/base64"
	"encoding/json"
	"fmt"

	"github.com/google/uuid"

	"github.com/lrshub/lrshub/hub/access"
)

// A continuation is the resolved query, sealed for this reader, and so is a feed's cursor. It survives restarts and is good on every node; it names nobody and
// grants nothing: whoever uses it is authorised anew. It is good for one form only: what was asked in one may not be asked in the other.

func (s *session) sealedFor(use string) string {
	return use + "|" + s.caller.Client.String() + "|" + string(s.decision.Form)
}

func (s *session) seal(use string, what any) (string, error) {
	text, err := json.Marshal(what)
	if err != nil {
		return "", fmt.Errorf("disclose: continuation: %w", err)
	}
	sealed, err := s.tenant.Seal(s.sealedFor(use), text)
	if err != nil {
		return "", fmt.Errorf("disclose: continuation: %w", err)
	}
	return base64.RawURLEncoding.EncodeToString(sealed), nil
}

func (s *session) unseal(use, continuation string, into any) error {
	sealed, err := base64.RawURLEncoding.DecodeString(continuation)
	if err != nil {
		return ErrMore
	}
	text, err := s.tenant.Open(s.sealedFor(use), sealed)
	if err != nil || json.Unmarshal(text, into) != nil {
		return ErrMore
	}
	return nil
}

func (s *session) sealMore(q resolved) (string, error) { return s.seal("more", q) }

func (s *session) unsealMore(more string) (q resolved, err error) {
	if err := s.unseal("more", more, &q); err != nil {
		return q, err
	}
	hidden := func(column string, asked bool) bool {
		return asked && s.decision.Form == access.Pseudonymised && !s.decision.Columns[column]
	}
	if hidden("actor", q.Agent != uuid.Nil) || hidden("verb", q.Verb != "") || hidden("object", q.Activity != uuid.Nil) ||
		hidden("registration", q.Registration != uuid.Nil) || !s.mayAsk(q.Search) || q.Limit <= 0 || q.Limit > MaxLimit {
		return q, ErrMore
	}
	return q, nil
}
