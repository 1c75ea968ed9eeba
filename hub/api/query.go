package api

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"reflect"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/google/uuid"

	"github.com/lrshub/lrshub/hub/access"
	"github.com/lrshub/lrshub/hub/disclose"
	"github.com/lrshub/lrshub/hub/xapi"
)

// span is a range with both ends.
type span struct {
	Min *float64 `json:"min,omitempty" doc:"at least"`
	Max *float64 `json:"max,omitempty" doc:"at most"`
}

// search is what a query asks for: all of it, and one value of each list.
type search struct {
	Verbs         []string        `json:"verbs,omitempty" maxItems:"100" doc:"IRIs: one of them"`
	Activities    []string        `json:"activities,omitempty" maxItems:"100" doc:"IRIs: one of them is the object, or with related stands in any place"`
	Related       bool            `json:"related,omitempty" doc:"activities in any place: object, context, sub-statement"`
	ActivityTypes []string        `json:"activityTypes,omitempty" maxItems:"100" doc:"IRIs: the type of the object is one of them. Only activities of the catalogue are found so: the types of others are sealed, like their ids"`
	Agent         json.RawMessage `json:"agent,omitempty" doc:"an xAPI Agent: actor or object, or a member of such a group; with relatedAgents in any place. A reader of pseudonyms gives one of those"`
	RelatedAgents bool            `json:"relatedAgents,omitempty"`
	Registrations []string        `json:"registrations,omitempty" maxItems:"100" doc:"UUIDs: one of them"`
	Success       *bool           `json:"success,omitempty"`
	Completion    *bool           `json:"completion,omitempty"`
	Scaled        span            `json:"scaled,omitzero" doc:"result.score.scaled"`
	Raw           span            `json:"raw,omitzero" doc:"result.score.raw"`
	Duration      span            `json:"duration,omitzero" doc:"result.duration, in seconds"`
	Since         time.Time       `json:"since,omitzero" doc:"stored after"`
	Until         time.Time       `json:"until,omitzero" doc:"stored at or before"`
	From          time.Time       `json:"from,omitzero" doc:"timestamp at or after"`
	To            time.Time       `json:"to,omitzero" doc:"timestamp before"`
	Voided        bool            `json:"voided,omitempty" doc:"those that were voided, instead of those that were not"`
	Ascending     bool            `json:"ascending,omitempty" doc:"oldest first"`
	Limit         int             `json:"limit,omitempty" minimum:"0" maximum:"500" doc:"statements in a page; 0: 500"`
	Count         bool            `json:"count,omitempty" doc:"only how many there are, in the identified form only"`
	More          string          `json:"more,omitempty" doc:"of the answer before: goes on with its query, so nothing else stands beside it"`
}

// answer is a page, or a count.
type answer struct {
	Statements        []json.RawMessage `json:"statements,omitzero"`
	Count             *int64            `json:"count,omitempty"`
	More              string            `json:"more,omitempty" doc:"there is more: send it as more"`
	ConsistentThrough time.Time         `json:"consistentThrough" doc:"every statement that was or will be stored up to then is taken into account"`
}

type learner struct {
	Agent json.RawMessage `json:"agent" doc:"an xAPI Agent, the actor"`
}

// registered is a registration of a learner.
type registered struct {
	Registration uuid.UUID `json:"registration"`
	Statements   int64     `json:"statements" doc:"with the learner as actor; voided ones are left out"`
	First        time.Time `json:"first" doc:"when the first of them was stored"`
	Last         time.Time `json:"last" doc:"and the last"`
}

func (f *face) queries() {
	disclosed(f, "/statements/query",
		"Find statements by several verbs, activities, types or registrations, by results and by times, or count them; what a statement refers to does not count",
		func(ctx context.Context, caller access.Caller, in *body[search]) (*body[answer], error) {
			out, err := f.find(ctx, caller, in.Body)
			return &body[answer]{out}, err
		})
	disclosed(f, "/registrations/query", "List the registrations of a learner, those used last first, 1000 at most; in the identified form only",
		func(ctx context.Context, caller access.Caller, in *body[learner]) (*body[listOf[registered]], error) {
			who, err := agentOf(in.Body.Agent)
			if err != nil {
				return nil, err
			}
			found, err := f.Disclose.Registrations(ctx, caller, *who)
			list := make([]registered, len(found))
			for i, r := range found {
				list[i] = registered(r)
			}
			return items(list), err
		})
}

// disclosed adds an operation in whose body is what a URL must not show. The road out asks the gate, and tells of refusals.
func disclosed[I, O any](f *face, path, summary string, handle func(ctx context.Context, caller access.Caller, in *I) (*O, error)) {
	described := huma.Operation{OperationID: "statements-POST-" + path, Method: http.MethodPost, Path: "/api/v1" + path, Summary: summary, Tags: []string{"statements"}}
	huma.Register(f.api, described, func(ctx context.Context, in *I) (*O, error) {
		out, err := handle(ctx, ctx.Value(callerKey{}).(access.Caller), in)
		if err != nil {
			return nil, problemOf(err)
		}
		return out, nil
	})
}

func (f *face) find(ctx context.Context, caller access.Caller, in search) (out answer, err error) {
	var page disclose.Page
	switch {
	case in.More != "" && !reflect.DeepEqual(in, search{More: in.More}):
		return out, fmt.Errorf("%w: more holds a whole query: send it alone", errInvalid)
	case in.More != "":
		page, err = f.Disclose.More(ctx, caller, in.More)
	default:
		var q disclose.Search
		if q, err = in.search(); err != nil {
			return out, err
		}
		if in.Count {
			n, err := f.Disclose.Count(ctx, caller, q)
			return answer{Count: &n.Statements, ConsistentThrough: n.ConsistentThrough}, err
		}
		page, err = f.Disclose.Search(ctx, caller, q)
	}
	out = answer{Statements: make([]json.RawMessage, len(page.Statements)), More: page.More, ConsistentThrough: page.ConsistentThrough}
	for i, text := range page.Statements {
		out.Statements[i] = text
	}
	return out, err
}

func (in search) search() (q disclose.Search, err error) {
	for name, list := range map[string][]string{"verbs": in.Verbs, "activities": in.Activities, "activityTypes": in.ActivityTypes} {
		for _, iri := range list {
			if !xapi.IsIRI(iri) {
				return q, fmt.Errorf("%w: each of %s must be an IRI", errInvalid, name)
			}
		}
	}
	for _, text := range in.Registrations { // not by its type, whose errors quote what they refuse
		id, ok := xapi.ParseUUID(text)
		if !ok {
			return q, fmt.Errorf("%w: each of registrations must be a UUID", errInvalid)
		}
		q.Registrations = append(q.Registrations, id)
	}
	q = disclose.Search{
		Verbs: in.Verbs, Activities: in.Activities, RelatedActivities: in.Related, Types: in.ActivityTypes, RelatedAgents: in.RelatedAgents, Registrations: q.Registrations,
		Success: in.Success, Completion: in.Completion, Scaled: disclose.Range(in.Scaled), Raw: disclose.Range(in.Raw), Duration: disclose.Range(in.Duration),
		Since: in.Since, Until: in.Until, From: in.From, To: in.To, Voided: in.Voided, Ascending: in.Ascending, Limit: in.Limit,
	}
	if len(in.Agent) > 0 {
		q.Agent, err = agentOf(in.Agent)
	}
	return q, err
}

// agentOf reads an agent. Its errors show nothing of it.
func agentOf(text json.RawMessage) (*xapi.Agent, error) {
	agent, err := xapi.ParseAgent(text, xapi.V2)
	if err != nil {
		return nil, fmt.Errorf("agent: %w", err)
	}
	return &agent, nil
}
