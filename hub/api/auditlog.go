package api

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/google/uuid"

	"github.com/lrshub/lrshub/hub/access"
	"github.com/lrshub/lrshub/hub/audit"
	"github.com/lrshub/lrshub/hub/database"
)

type auditQuery struct {
	Kind    string    `query:"kind" doc:"such as statement.read"`
	Actor   string    `query:"actor" doc:"id of a credential or run"`
	Subject uuid.UUID `query:"subject" doc:"events that show or change this subject"`
	Since   time.Time `query:"since"`
	Until   time.Time `query:"until"`
	After   uuid.UUID `query:"after" doc:"events older than this one"`
	Limit   int       `query:"limit" minimum:"1" maximum:"1000" default:"100"`
}

type eventID struct {
	ID uuid.UUID `path:"id"`
}

type auditKey struct {
	Key string `json:"key" doc:"verifier key of the tenant's checkpoints (C2SP note)"`
}

// restarted says where a log goes on.
type restarted struct {
	Size int64 `json:"size" doc:"events that the log and its anchor agree on"`
}

var readAudit = need{access.Read, access.Audit}

func (f *face) auditLog() {
	register(f, operation{http.MethodGet, "/audit/events", "List audit events, newest first", readAudit, "audit", 0},
		func(ctx context.Context, caller access.Caller, in *auditQuery) (*body[listOf[audit.Listed]], error) {
			var list []audit.Listed
			err := f.toldAudit(ctx, caller, audit.AuditRead, func(ctx context.Context, tx *database.Tx) (err error) {
				list, err = audit.List(ctx, tx, audit.Filter{
					Kind: in.Kind, Actor: in.Actor, Subject: in.Subject, Since: in.Since, Until: in.Until, After: in.After, Limit: in.Limit,
				})
				return err
			})
			return items(list), err
		})
	register(f, operation{http.MethodPost, "/audit/verify", "Prove the whole log: every event, column, hash and checkpoint, and the anchor", readAudit, "audit", 0},
		func(ctx context.Context, caller access.Caller, _ *none) (*body[audit.Report], error) {
			if err := f.toldAudit(ctx, caller, audit.AuditVerified, nothing); err != nil {
				return nil, err
			}
			key := f.Signer.VerifierKey(caller.Tenant)
			report, err := audit.Verify(ctx, audit.NewStore(f.DB, caller.Tenant, key), audit.VerifyOptions{VerifierKey: key, Anchor: f.Anchor.Existing(caller.Tenant)})
			if err != nil && !errors.Is(err, audit.ErrTampered) {
				return nil, err
			}
			return &body[audit.Report]{*report}, nil
		})
	register(f, operation{http.MethodGet, "/audit/events/{id}/proof", "Prove that one event stands in the log, to anyone who has the verifier key", readAudit, "audit", 0},
		func(ctx context.Context, caller access.Caller, in *eventID) (*body[audit.Proof], error) {
			var p audit.Proof
			err := f.toldAudit(ctx, caller, audit.AuditRead, func(ctx context.Context, tx *database.Tx) (err error) {
				p, err = audit.Prove(ctx, tx, in.ID, f.Signer.VerifierKey(caller.Tenant))
				return err
			})
			return &body[audit.Proof]{p}, err
		})
	register(f, operation{http.MethodGet, "/audit/key", "The key that verifies the log's checkpoints", readAudit, "audit", 0},
		func(_ context.Context, caller access.Caller, _ *none) (*body[auditKey], error) {
			return &body[auditKey]{auditKey{f.Signer.VerifierKey(caller.Tenant)}}, nil
		})
	register(f, operation{http.MethodPost, "/audit/restart", "Let the log go on after the database was restored from a backup older than the anchor", need{access.Manage, access.Policy}, "audit", 0},
		func(ctx context.Context, caller access.Caller, _ *none) (*body[restarted], error) {
			c, err := f.RestartAudit(ctx, caller.Tenant, caller.Client.String())
			return &body[restarted]{restarted{Size: c.Size}}, err
		})
	huma.Register(f.api, huma.Operation{
		OperationID: "audit-export", Method: http.MethodGet, Path: "/api/v1/audit/export", Tags: []string{"audit"},
		Summary: "Stream the log as NDJSON, to be verified without this hub (lrshub audit verify --offline)",
	}, func(ctx context.Context, _ *none) (*huma.StreamResponse, error) {
		caller := ctx.Value(callerKey{}).(access.Caller)
		if err := f.allow(ctx, caller, readAudit); err != nil {
			return nil, problemOf(err)
		}
		if err := f.toldAudit(ctx, caller, audit.AuditExported, nothing); err != nil {
			return nil, problemOf(err)
		}
		return &huma.StreamResponse{Body: func(out huma.Context) {
			out.SetHeader("Content-Type", "application/x-ndjson")
			out.SetStatus(http.StatusOK)
			if err := audit.Export(out.Context(), audit.NewStore(f.DB, caller.Tenant, f.Signer.VerifierKey(caller.Tenant)), out.BodyWriter()); err != nil {
				panic(http.ErrAbortHandler) // the export's last line is missing: it cannot be taken for the whole
			}
		}}, nil
	})
}

func nothing(context.Context, *database.Tx) error { return nil }

// toldAudit reads the log and tells of it in one transaction: no audit, no answer.
func (f *face) toldAudit(ctx context.Context, caller access.Caller, kind string, read func(ctx context.Context, tx *database.Tx) error) error {
	return f.in(ctx, caller, func(ctx context.Context, tx *database.Tx) error {
		if err := read(ctx, tx); err != nil {
			return err
		}
		return audit.Record(ctx, tx, f.Now(), audit.Event{Kind: kind, Actor: caller.Client.String(), Purpose: caller.Purpose})
	})
}
