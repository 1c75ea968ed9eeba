package lrs

import (
	"context"
	"encoding/json"
	"net/http"

	"github.com/lrshub/lrshub/hub/access"
	"github.com/lrshub/lrshub/hub/disclose"
	"github.com/lrshub/lrshub/hub/xapi"
)

// Describer shows what is known of agents and activities.
type Describer interface {
	Person(ctx context.Context, caller access.Caller, agent xapi.Agent) (disclose.Person, error)
	Activity(ctx context.Context, caller access.Caller, iri string) (disclose.Activity, error)
	Definitions(ctx context.Context, caller access.Caller, iris []string) (map[string]json.RawMessage, error)
}

// getAgent answers with the Person object of an agent (Communication 2.4).
func (f *face) getAgent(w http.ResponseWriter, r request) error {
	query, err := r.parameters()
	if err == nil {
		err = onlyKnown(query, "agent")
	}
	if err != nil {
		return err
	}
	if !query.Has("agent") {
		return bad("agent is missing")
	}
	agent, err := xapi.ParseAgent([]byte(query.Get("agent")), r.version)
	if err != nil {
		return err
	}
	person, err := f.reader.Person(r.Context(), r.caller, agent)
	if err != nil {
		return err
	}
	writeJSON(w, http.StatusOK, person)
	return nil
}

// getActivity answers with an activity and the definition that the catalogue has of it (Communication 2.5).
func (f *face) getActivity(w http.ResponseWriter, r request) error {
	query, err := r.parameters()
	if err == nil {
		err = onlyKnown(query, "activityId")
	}
	if err != nil {
		return err
	}
	iri := query.Get("activityId")
	if !xapi.IsIRI(iri) {
		return bad("activityId must be an IRI")
	}
	activity, err := f.reader.Activity(r.Context(), r.caller, iri)
	if err != nil {
		return err
	}
	writeJSON(w, http.StatusOK, activity)
	return nil
}
