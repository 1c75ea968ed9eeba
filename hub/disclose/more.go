package disclose

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
)

// A continuation is the resolved query, sealed for this reader. It survives restarts and is good on every node; it names nobody and
// grants nothing: whoever uses it is authorised anew. It is good for one form only: what was asked in one may not be asked in the other.

func (s *session) moreContext() string {
	return "more|" + s.caller.Client.String() + "|" + string(s.decision.Form)
}

func (s *session) sealMore(q resolved) (string, error) {
	text, err := json.Marshal(q)
	if err != nil {
		return "", fmt.Errorf("disclose: continuation: %w", err)
	}
	sealed, err := s.tenant.Seal(s.moreContext(), text)
	if err != nil {
		return "", fmt.Errorf("disclose: continuation: %w", err)
	}
	return base64.RawURLEncoding.EncodeToString(sealed), nil
}

func (s *session) unsealMore(more string) (resolved, error) {
	var q resolved
	sealed, err := base64.RawURLEncoding.DecodeString(more)
	if err != nil {
		return q, ErrMore
	}
	text, err := s.tenant.Open(s.moreContext(), sealed)
	if err != nil {
		return q, ErrMore
	}
	if err := json.Unmarshal(text, &q); err != nil || q.Limit <= 0 || q.Limit > MaxLimit {
		return q, ErrMore
	}
	return q, nil
}
