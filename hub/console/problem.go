package console

import (
	"errors"
	"log/slog"
	"net/http"

	"github.com/lrshub/lrshub/hub/access"
	"github.com/lrshub/lrshub/hub/auth"
	"github.com/lrshub/lrshub/hub/connection"
	"github.com/lrshub/lrshub/hub/database"
)

// errNoPage: there is no page of that address.
var errNoPage = errors.New("console: no such page")

// errMayNotEnter: the caller may not enter records.
var errMayNotEnter = errors.New("console: this credential may not enter records")

// realm is what a browser shows where it asks for the credential.
const realm = `Basic realm="lrshub: user name = key of a client, password = its secret", charset="UTF-8"`

// problem is what a person reads when there is nothing else to show: what, why, and what to do next.
type problem struct {
	What, Why string
	Next      []step
}

// step is something to do: in words, or a command.
type step struct{ Words, Command string }

// problemPage words an error. What is nobody's fault but ours is logged, and told without detail.
func problemPage(w http.ResponseWriter, err error) page {
	p := page{name: "problem"}
	switch {
	case errors.Is(err, access.ErrUndecided), errors.Is(err, database.ErrUnavailable):
		w.Header().Set("Retry-After", "5")
		p.status, p.Title, p.Live = http.StatusServiceUnavailable, "The hub's database does not answer", true
		p.Body = problem{What: "Nothing can be shown now.", Why: "The hub runs, but its Postgres does not answer it. Nothing that was stored is lost; syncs wait and go on.",
			Next: []step{{Words: "This page tries again by itself every five seconds. If that lasts, see what the hub's machine says:"}, {Command: "lrshub check"}}}
	case errors.Is(err, auth.ErrUnauthenticated):
		w.Header().Set("WWW-Authenticate", realm)
		p.status, p.Title = http.StatusUnauthorized, "Sign in"
		p.Body = problem{What: "This console wants a credential.", Why: "None was given, or it is unknown, expired or revoked. Reload this page to be asked again.",
			Next: []step{
				{Words: "User name and password are key and secret of a client. Make one that may watch connections:"},
				{Command: "lrshub client create NAME --scope connections/read"},
				{Words: "On the machine of a local hub: any user name, and as password the one line of the file admin.token in its data folder."},
			}}
	case errors.Is(err, errMayNotEnter):
		p.status, p.Title = http.StatusForbidden, "Not allowed"
		p.Body = problem{What: "This credential may not enter records.", Why: "No grant allows it: none of its scopes does.",
			Next: []step{{Words: "Ask an administrator for a client with the scope records/enter:"}, {Command: "lrshub client create NAME --scope records/enter"}}}
	case errors.Is(err, access.ErrDenied):
		p.status, p.Title = http.StatusForbidden, "Not allowed"
		p.Body = problem{What: "This credential may not see connections.", Why: "No grant allows it: none of its scopes does.",
			Next: []step{{Words: "Ask an administrator for a client with the scope connections/read:"}, {Command: "lrshub client create NAME --scope connections/read"}}}
	case errors.Is(err, connection.ErrUnknown):
		p.status, p.Title = http.StatusNotFound, "No such connection"
		p.Body = problem{What: "There is no connection of that name here.", Why: "It was removed, or the address is misspelt.",
			Next: []step{{Words: "The first page lists the connections that there are; so does:"}, {Command: "lrshub connection list"}}}
	case errors.Is(err, errNoPage):
		p.status, p.Title = http.StatusNotFound, "No such page"
		p.Body = problem{What: "The console has no page of that address.", Why: "The address is misspelt, or the page came with another version.",
			Next: []step{{Words: "Go on from the first page."}}}
	default:
		slog.Error("console request failed", "error", err)
		p.status, p.Title = http.StatusInternalServerError, "The hub failed"
		p.Body = problem{What: "This page could not be made.", Why: "Something failed that should not; the hub's log says what.",
			Next: []step{{Words: "Try again. If it happens again, tell whoever runs this hub when it happened."}}}
	}
	return p
}
