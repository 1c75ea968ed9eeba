package console

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"

	"github.com/lrshub/lrshub/hub/access"
	"github.com/lrshub/lrshub/hub/connection"
	"github.com/lrshub/lrshub/hub/database"
	"github.com/lrshub/lrshub/hub/entry"
	"github.com/lrshub/lrshub/plugins/contract"
)

// form is the page on which records are entered.
type form struct {
	Name     string // of the connection
	Fields   []field
	Result   *entry.Result   // of what was just entered
	Problems []entry.Mistake // with it
	Said     string          // of it as a whole
}

// field is one of a record.
type field struct {
	Name, Label, Hint, Type, Value string
	Choices                        []string
	Required                       bool
}

// recordFields are the form's, in its order.
var recordFields = []field{
	{Name: "kind", Label: "What it was", Choices: []string{"training", "attendance", "assessment"}, Required: true},
	{Name: "learner", Label: "Learner", Hint: "e-mail address or account", Required: true},
	{Name: "activity", Label: "Activity", Hint: "its IRI, such as https://example.org/training/forklift", Type: "url", Required: true},
	{Name: "activity_name", Label: "Name of the activity"},
	{Name: "date", Label: "Day", Type: "date", Required: true},
	{Name: "minutes", Label: "Minutes", Type: "number"},
	{Name: "outcome", Label: "Outcome", Choices: []string{"", "passed", "failed"}},
	{Name: "score", Label: "Points", Type: "number"},
	{Name: "score_max", Label: "of at most", Type: "number"},
	{Name: "vouched_by", Label: "Who vouches for it", Hint: "e-mail address or account, not the learner", Required: true},
	{Name: "place", Label: "Place"},
	{Name: "note", Label: "Note"},
	{Name: "id", Label: "Id", Hint: "only to correct a record that was entered with it"},
}

// maxForm bounds what a browser sends, the form around the sheet too.
const maxForm = entry.MaxBytes + 1<<20

// enter shows the form, and takes what was filled in. What it stored shows it again, empty.
func (f *face) enter(r *http.Request, caller access.Caller) (page, error) {
	_, err := f.Gate.Decide(r.Context(), access.Request{Caller: caller, Action: access.Write, Resource: access.Entries})
	if errors.Is(err, access.ErrDenied) {
		return page{}, errMayNotEnter
	}
	if err != nil {
		return page{}, err
	}
	var c connection.Connection
	err = f.DB.ReadTenant(r.Context(), caller.Tenant, func(ctx context.Context, tx *database.Tx) (err error) {
		c, err = connection.Get(ctx, tx, r.PathValue("name"))
		return err
	})
	if err != nil {
		return page{}, err
	}
	if c.Connector != entry.Connector {
		return page{}, errNoPage
	}
	view := form{Name: c.Name, Fields: recordFields}
	status := 0
	if r.Method == http.MethodPost {
		if status, err = f.entered(r, caller, &view); err != nil {
			return page{}, err
		}
	}
	return page{name: "enter", Title: "Enter records", Body: view, status: status}, nil
}

func (f *face) entered(r *http.Request, caller access.Caller, view *form) (status int, err error) {
	if err := r.ParseMultipartForm(1 << 20); err != nil {
		view.Said = "The form did not arrive whole; send it again."
		return http.StatusBadRequest, nil
	}
	defer func() { _ = r.MultipartForm.RemoveAll() }()
	b, err := batch(r)
	if err != nil {
		view.Said, view.Fields = err.Error(), filled(r)
		return http.StatusUnprocessableEntity, nil
	}
	result, err := f.Desk.Enter(r.Context(), caller, view.Name, b)
	var refusal *entry.Refusal
	var unreadable *contract.Error
	switch {
	case err == nil:
		view.Result = &result
		return 0, nil
	case errors.As(err, &refusal):
		view.Problems, view.Fields = refusal.Mistakes, filled(r)
	case errors.As(err, &unreadable), errors.Is(err, entry.ErrEmpty), errors.Is(err, connection.ErrPaused):
		view.Said, view.Fields = err.Error(), filled(r)
	default:
		return 0, err
	}
	return http.StatusUnprocessableEntity, nil
}

// batch reads a sheet, if one was chosen, or else the one record of the form.
func batch(r *http.Request) (entry.Batch, error) {
	if sheet, _, err := r.FormFile("sheet"); err == nil {
		defer sheet.Close()
		text, err := io.ReadAll(io.LimitReader(sheet, entry.MaxBytes+1))
		switch {
		case err != nil:
			return entry.Batch{}, errors.New("the sheet did not arrive whole; send it again")
		case len(text) > entry.MaxBytes:
			return entry.Batch{}, fmt.Errorf("the sheet has more than %d MiB: enter it in parts", entry.MaxBytes>>20)
		case len(text) > 0:
			return entry.Batch{CSV: true, Text: text}, nil
		}
	}
	record := map[string]any{}
	for _, f := range recordFields {
		value := strings.TrimSpace(r.PostFormValue(f.Name))
		if value == "" {
			continue
		}
		if record[f.Name] = value; f.Type == "number" {
			n, err := strconv.ParseFloat(value, 64)
			if err != nil {
				return entry.Batch{}, fmt.Errorf("%s must be a number", f.Label)
			}
			record[f.Name] = n
		}
	}
	text, err := json.Marshal(map[string]any{"records": []any{record}})
	return entry.Batch{Text: text}, err
}

// filled is the form as it was sent, so that nobody types it twice.
func filled(r *http.Request) []field {
	list := make([]field, len(recordFields))
	for i, f := range recordFields {
		list[i] = f
		list[i].Value = r.PostFormValue(f.Name)
	}
	return list
}
