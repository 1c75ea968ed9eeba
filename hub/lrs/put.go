package lrs

import (
	"net/http"

	"github.com/lrshub/lrshub/hub/xapi"
)

// putStatement stores one statement under the id in the query (Communication 2.1.1).
func (f *face) putStatement(w http.ResponseWriter, r request) error {
	query, err := r.parameters()
	if err == nil {
		err = onlyKnown(query, "statementId")
	}
	if err != nil {
		return err
	}
	terms, err := f.terms(r)
	if err != nil {
		return err
	}
	id, ok := xapi.ParseUUID(query.Get("statementId"))
	if !ok {
		return bad("statementId must be a UUID")
	}
	_, err = f.receive(w, r, terms, func(body []byte) ([]*xapi.Statement, error) {
		st, err := xapi.Parse(body, r.version)
		if err != nil {
			return nil, err
		}
		if st.HasID && st.ID != id {
			return nil, bad("the statement's id is not the statementId of the request")
		}
		st.ID, st.HasID = id, true
		return []*xapi.Statement{st}, nil
	})
	if err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}
