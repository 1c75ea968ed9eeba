package api

import (
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"github.com/lrshub/lrshub/hub/access"
	"github.com/lrshub/lrshub/hub/audit"
	"github.com/lrshub/lrshub/hub/auth"
	"github.com/lrshub/lrshub/hub/connection"
	"github.com/lrshub/lrshub/hub/database"
	"github.com/lrshub/lrshub/hub/disclose"
	"github.com/lrshub/lrshub/hub/entry"
	"github.com/lrshub/lrshub/hub/mapping"
	"github.com/lrshub/lrshub/hub/people"
	"github.com/lrshub/lrshub/hub/records"
	"github.com/lrshub/lrshub/hub/vault"
	"github.com/lrshub/lrshub/hub/xapi"
	"github.com/lrshub/lrshub/plugins/contract"
	"github.com/lrshub/lrshub/plugins/host"
	"github.com/lrshub/lrshub/plugins/host/installed"
	"github.com/lrshub/lrshub/workflows/sync"
)

// Problem is a problem of RFC 9457. Detail says what, where and what to do.
type Problem struct {
	Status int    `json:"status"`
	Title  string `json:"title"`
	Detail string `json:"detail,omitempty"`
	// Mistakes lists what is wrong with each of many.
	Mistakes []entry.Mistake `json:"mistakes,omitempty"`
}

// Error is the detail.
func (p *Problem) Error() string { return p.Detail }

// GetStatus is for huma.
func (p *Problem) GetStatus() int { return p.Status }

// ContentType is for huma.
func (p *Problem) ContentType(string) string { return "application/problem+json" }

func problem(status int, detail string) *Problem {
	return &Problem{Status: status, Title: http.StatusText(status), Detail: detail}
}

func (p *Problem) write(ctx huma.Context) {
	ctx.SetHeader("Content-Type", "application/problem+json")
	ctx.SetStatus(p.Status)
	_ = json.NewEncoder(ctx.BodyWriter()).Encode(p)
}

// kinds are the rooms' errors and what they are in HTTP. The first that fits holds.
var kinds = []struct {
	err    error
	status int
}{
	{access.ErrUndecided, http.StatusServiceUnavailable},
	{database.ErrUnavailable, http.StatusServiceUnavailable},
	{auth.ErrUnauthenticated, http.StatusUnauthorized},
	{auth.ErrIssuerUnavailable, http.StatusServiceUnavailable},
	{access.ErrDenied, http.StatusForbidden},
	{disclose.ErrRefused, http.StatusForbidden},
	{disclose.ErrMore, http.StatusUnprocessableEntity},
	{records.ErrTooMany, http.StatusUnprocessableEntity},
	{xapi.ErrInvalid, http.StatusUnprocessableEntity},
	{xapi.ErrTooLarge, http.StatusUnprocessableEntity},
	{auth.ErrUnknownClient, http.StatusNotFound},
	{records.ErrNotFound, http.StatusNotFound},
	{people.ErrPurposeExists, http.StatusConflict},
	{auth.ErrClientExists, http.StatusConflict},
	{errTenantExists, http.StatusConflict},
	{errUnknownTenant, http.StatusNotFound},
	{audit.ErrUnknownEvent, http.StatusNotFound},
	{audit.ErrNotCovered, http.StatusServiceUnavailable},
	{audit.ErrNotRolledBack, http.StatusConflict},
	{audit.ErrDamaged, http.StatusConflict},
	{connection.ErrUnknown, http.StatusNotFound},
	{entry.ErrNotEntered, http.StatusConflict},
	{entry.ErrEmpty, http.StatusUnprocessableEntity},
	{connection.ErrUnknownRun, http.StatusNotFound},
	{connection.ErrUnknownMapping, http.StatusNotFound},
	{connection.ErrExists, http.StatusConflict},
	{connection.ErrRunning, http.StatusConflict},
	{connection.ErrPaused, http.StatusConflict},
	{sync.ErrNotRunning, http.StatusConflict},
	{connection.ErrName, http.StatusUnprocessableEntity},
	{connection.ErrFile, http.StatusUnprocessableEntity},
	{mapping.ErrDocument, http.StatusUnprocessableEntity},
	{installed.ErrUnknown, http.StatusNotFound},
	{installed.ErrUnknown, http.StatusNotFound},
	{host.ErrUnknown, http.StatusUnprocessableEntity},
	{host.ErrChecksum, http.StatusUnprocessableEntity},
	{host.ErrNoNamespace, http.StatusBadGateway},
	{host.ErrHandshake, http.StatusBadGateway},
	{host.ErrTimeout, http.StatusBadGateway},
	{host.ErrDied, http.StatusBadGateway},
	{host.ErrProtocol, http.StatusBadGateway},
	{people.ErrUnknownPurpose, http.StatusUnprocessableEntity},
	{people.ErrInvalidPurpose, http.StatusUnprocessableEntity},
	{auth.ErrInvalidClient, http.StatusUnprocessableEntity},
	{vault.ErrUnknownSubject, http.StatusNotFound},
	{vault.ErrUnknownReview, http.StatusNotFound},
	{vault.ErrDecided, http.StatusConflict},
	{vault.ErrApart, http.StatusConflict},
	{vault.ErrNotOnePerson, http.StatusConflict},
	{vault.ErrTooManySubjects, http.StatusUnprocessableEntity},
	{vault.ErrInvalidRule, http.StatusUnprocessableEntity},
	{errInvalid, http.StatusUnprocessableEntity},
}

// errInvalid is wrapped by what is wrong with a request and known to no room.
var errInvalid = errors.New("not valid")

// problemOf words a room's error. What is nobody's fault but ours is logged, and told without detail.
func problemOf(err error) *Problem {
	var p *Problem
	if errors.As(err, &p) {
		return p
	}
	var refusal *entry.Refusal
	if errors.As(err, &refusal) {
		p = problem(http.StatusUnprocessableEntity, err.Error())
		p.Mistakes = refusal.Mistakes
		return p
	}
	for _, k := range kinds {
		if errors.Is(err, k.err) {
			return problem(k.status, err.Error())
		}
	}
	var source *contract.Error // what a connector says of its source or its configuration
	if errors.As(err, &source) {
		return problem(http.StatusUnprocessableEntity, err.Error())
	}
	slog.Error("management request failed", "error", err)
	return problem(http.StatusInternalServerError, "the hub failed; its log says why")
}

func init() {
	huma.NewError = func(status int, message string, errs ...error) huma.StatusError {
		for _, err := range errs {
			var part *huma.ErrorDetail // its text would show the value, a whole configuration with its secrets perhaps
			if errors.As(err, &part) {
				message += "; " + part.Message + " (" + part.Location + ")"
			} else {
				message += "; " + err.Error()
			}
		}
		return problem(status, message)
	}
}
