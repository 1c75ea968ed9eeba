package api

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"time"

	"github.com/google/uuid"

	"github.com/lrshub/lrshub/hub/access"
	"github.com/lrshub/lrshub/hub/connection"
	"github.com/lrshub/lrshub/hub/database"
	"github.com/lrshub/lrshub/hub/disclose"
	"github.com/lrshub/lrshub/hub/vault"
	"github.com/lrshub/lrshub/hub/xapi"
)

// Who somebody is stands in bodies and never in addresses: an identifier is personal data.
var (
	readPersons  = need{access.Read, access.Persons}
	writePersons = need{access.Write, access.Persons}
)

type whom struct {
	Body struct {
		Subject uuid.UUID       `json:"subject,omitzero" format:"uuid" doc:"a subject id, as audit events and reviews name it"`
		Agent   json.RawMessage `json:"agent,omitempty" doc:"instead of it, an xAPI Agent"`
		AsOf    time.Time       `json:"asOf,omitzero" doc:"facts that held then; left out: now"`
		KnownAt time.Time       `json:"knownAt,omitzero" doc:"as they were known then; left out: now"`
		All     bool            `json:"all,omitempty" doc:"all facts that were ever believed"`
	}
}

type subjects struct {
	Body struct {
		Subjects []uuid.UUID `json:"subjects" minItems:"1" maxItems:"200" doc:"subject ids"`
	}
}

type reviewState struct {
	State string `query:"state" enum:"open,same,different,settled" default:"open"`
	Limit int    `query:"limit" minimum:"1" maximum:"200" default:"50"`
}

type decided struct {
	ID   uuid.UUID `path:"id" format:"uuid"`
	Body struct {
		Decision string `json:"decision" enum:"same,different" doc:"same: those who have the claim are one person; different: the claim is no evidence, and never links anybody again"`
	}
}

type linkRules struct {
	ConnectionName
	Body struct {
		On []string `json:"on" maxItems:"10" doc:"employee_number, student_number, sourced_id, external_id, mailbox; none: link on nothing"`
	}
}

// linkOn is on which kinds of claim a connection's records may link.
type linkOn struct {
	On []string `json:"on"`
}

func (f *face) persons() {
	const tag = "persons"
	register(f, operation{http.MethodPost, "/persons/find", "Show who somebody is: identifiers, facts, and why these are one person", readPersons, tag, 0}, f.findPerson)
	register(f, operation{http.MethodPost, "/persons/link", "Say that subjects are one person", writePersons, tag, 204}, f.personDecision(f.Vault.Link))
	register(f, operation{http.MethodPost, "/persons/split", "Say that subjects are not one person with the rest of theirs", writePersons, tag, 204}, f.personDecision(f.Vault.Split))
	register(f, operation{http.MethodGet, "/persons/reviews", "List claims that reach more than one person", readPersons, tag, 0},
		func(ctx context.Context, caller access.Caller, in *reviewState) (*body[listOf[disclose.ToDecide]], error) {
			list, err := f.Disclose.ToDecide(ctx, caller, in.State, in.Limit)
			return items(list), err
		})
	register(f, operation{http.MethodPost, "/persons/reviews/{id}", "Decide a review", writePersons, tag, 204},
		func(ctx context.Context, caller access.Caller, in *decided) (*none, error) {
			return nil, f.in(ctx, caller, func(ctx context.Context, tx *database.Tx) error {
				return f.Vault.Decide(ctx, tx, f.personAct(caller), in.ID, in.Body.Decision == "same")
			})
		})
	register(f, operation{http.MethodGet, "/connections/{name}/links", "Show on which kinds of claim a connection's records may link", readPersons, tag, 0},
		func(ctx context.Context, caller access.Caller, in *ConnectionName) (*body[linkOn], error) {
			var out linkOn
			err := f.in(ctx, caller, func(ctx context.Context, tx *database.Tx) error {
				c, err := connection.Get(ctx, tx, in.Name)
				if err != nil {
					return err
				}
				out.On, err = vault.LinksOn(ctx, tx, c.ID)
				return err
			})
			return &body[linkOn]{out}, err
		})
	register(f, operation{http.MethodPut, "/connections/{name}/links", "Set on which kinds of claim a connection's records may link, and link accordingly", writePersons, tag, 204},
		func(ctx context.Context, caller access.Caller, in *linkRules) (*none, error) {
			return nil, f.in(ctx, caller, func(ctx context.Context, tx *database.Tx) error {
				c, err := connection.Get(ctx, tx, in.Name)
				if err != nil {
					return err
				}
				return f.Vault.LinkOn(ctx, tx, f.personAct(caller), c.ID, in.Body.On)
			})
		})
}

func (f *face) personAct(caller access.Caller) vault.Act {
	return vault.Act{Actor: caller.Client.String(), Purpose: caller.Purpose, Now: f.Now()}
}

func (f *face) findPerson(ctx context.Context, caller access.Caller, in *whom) (*body[disclose.Somebody], error) {
	who := disclose.Whom{Subject: in.Body.Subject}
	if in.Body.Agent != nil {
		agent, err := xapi.ParseAgent(in.Body.Agent, xapi.V2)
		if err != nil {
			return nil, fmt.Errorf("agent: %w", err)
		}
		who.Agent = &agent
	}
	if (who.Agent == nil) == (who.Subject == uuid.Nil) {
		return nil, fmt.Errorf("%w: give a subject or an agent", errInvalid)
	}
	shown, err := f.Disclose.Somebody(ctx, caller, who, disclose.When{AsOf: in.Body.AsOf, KnownAt: in.Body.KnownAt, All: in.Body.All})
	return &body[disclose.Somebody]{shown}, err
}

// personDecision does what somebody decided of subjects.
func (f *face) personDecision(decide func(context.Context, *database.Tx, vault.Act, []uuid.UUID) error) func(context.Context, access.Caller, *subjects) (*none, error) {
	return func(ctx context.Context, caller access.Caller, in *subjects) (*none, error) {
		return nil, f.in(ctx, caller, func(ctx context.Context, tx *database.Tx) error {
			return decide(ctx, tx, f.personAct(caller), in.Body.Subjects)
		})
	}
}
