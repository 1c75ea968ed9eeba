package manual

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"reflect"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/lrshub/lrshub/plugins/contract"
	"github.com/lrshub/lrshub/plugins/sdk"
)

// record is what somebody vouches for. A person is an e-mail address, or the name of an account on the mapping's home_page.
type record struct {
	ID           string   `json:"id"`      // whoever enters it again with this id corrects it; "": made of learner, kind, activity and date
	Kind         string   `json:"kind"`    // training, attendance or assessment
	Learner      string   `json:"learner"` // a person
	LearnerName  string   `json:"learner_name,omitempty"`
	Activity     string   `json:"activity"` // IRI
	ActivityName string   `json:"activity_name,omitempty"`
	Date         string   `json:"date"` // RFC 3339, or a day; kept as an instant
	Minutes      *float64 `json:"minutes,omitempty"`
	Outcome      string   `json:"outcome,omitempty"` // passed or failed
	Score        *float64 `json:"score,omitempty"`
	ScoreMax     *float64 `json:"score_max,omitempty"`
	VouchedBy    string   `json:"vouched_by"` // a person, and not the learner
	VouchedName  string   `json:"vouched_name,omitempty"`
	Place        string   `json:"place,omitempty"`
	Note         string   `json:"note,omitempty"`
	Deleted      bool     `json:"deleted,omitempty"` // taken back; only id counts
}

var stream = sdk.Stream{
	Name: "record", Key: []string{"id"}, Subject: "learner", Deletes: contract.DeletesTombstone, Mode: contract.Incremental,
	Fields: []sdk.Field{
		{Name: "id", Type: contract.String}, {Name: "kind", Type: contract.String},
		{Name: "learner", Type: contract.String}, {Name: "learner_name", Type: contract.String, Optional: true},
		{Name: "activity", Type: contract.String}, {Name: "activity_name", Type: contract.String, Optional: true},
		{Name: "date", Type: contract.Timestamp}, {Name: "minutes", Type: contract.Double, Optional: true},
		{Name: "outcome", Type: contract.String, Optional: true},
		{Name: "score", Type: contract.Double, Optional: true}, {Name: "score_max", Type: contract.Double, Optional: true},
		{Name: "vouched_by", Type: contract.String}, {Name: "vouched_name", Type: contract.String, Optional: true},
		{Name: "place", Type: contract.String, Optional: true}, {Name: "note", Type: contract.String, Optional: true},
	},
}

func parseRecord(text []byte) (r record, err error) {
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	err = d.Decode(&r)
	var kind *json.UnmarshalTypeError
	switch {
	case err == nil:
		return r, nil
	case errors.As(err, &kind) && kind.Field != "":
		return r, fmt.Errorf("%s must be a %s", kind.Field, map[bool]string{true: "text", false: "number"}[kind.Type.Kind() == reflect.String])
	case strings.Contains(err.Error(), "unknown field"): // its name is the sender's
		return r, fmt.Errorf("it has a field that records do not have; there are %s", strings.Join(columns(), ", "))
	}
	return r, errors.New("it is not a JSON object")
}

// bounds of texts, in characters
const (
	maxName = 500
	maxNote = 4000
)

// complete checks a record and fills in what follows from the rest: its id, its date as an instant.
func (r *record) complete(now time.Time) error {
	if r.Deleted {
		return required("id", r.ID)
	}
	var wrong []error
	for name, value := range map[string]string{"learner": r.Learner, "activity": r.Activity, "date": r.Date, "vouched_by": r.VouchedBy} {
		wrong = append(wrong, required(name, value))
	}
	for name, value := range map[string]string{"id": r.ID, "learner": r.Learner, "learner_name": r.LearnerName, "activity": r.Activity,
		"activity_name": r.ActivityName, "vouched_by": r.VouchedBy, "vouched_name": r.VouchedName, "place": r.Place} {
		wrong = append(wrong, short(name, value, maxName))
	}
	wrong = append(wrong, short("note", r.Note, maxNote), r.outcome(), r.measures(), r.date(now))
	if r.Activity != "" {
		if u, err := url.Parse(r.Activity); err != nil || !u.IsAbs() {
			wrong = append(wrong, errors.New("activity must be an IRI, like https://example.org/training/forklift"))
		}
	}
	if r.Learner != "" && strings.EqualFold(r.Learner, r.VouchedBy) {
		wrong = append(wrong, errors.New("vouched_by must be somebody else than the learner"))
	}
	if r.ID == "" {
		sum := sha256.Sum256([]byte(strings.Join([]string{r.Learner, r.Kind, r.Activity, r.Date}, "\x00")))
		r.ID = "made-" + hex.EncodeToString(sum[:16])
	}
	return sorted(wrong)
}

// sorted joins errors, each once, in one order.
func sorted(list []error) error {
	list = slices.DeleteFunc(list, func(err error) bool { return err == nil })
	slices.SortFunc(list, func(a, b error) int { return strings.Compare(a.Error(), b.Error()) })
	texts := make([]string, len(list))
	for i, err := range list {
		texts[i] = err.Error()
	}
	if len(texts) == 0 {
		return nil
	}
	return errors.New(strings.Join(texts, "; "))
}

func required(name, value string) error {
	if strings.TrimSpace(value) == "" {
		return fmt.Errorf("%s is missing", name)
	}
	return nil
}

func short(name, value string, limit int) error {
	if !utf8.ValidString(value) {
		return fmt.Errorf("%s is not UTF-8", name)
	}
	if utf8.RuneCountInString(value) > limit {
		return fmt.Errorf("%s has more than %d characters", name, limit)
	}
	return nil
}

func (r *record) outcome() error {
	switch r.Kind {
	case "training", "assessment":
		if r.Outcome != "" && r.Outcome != "passed" && r.Outcome != "failed" {
			return errors.New("outcome must be passed or failed, or empty")
		}
		if r.Kind == "assessment" && r.Outcome == "" && r.Score == nil {
			return errors.New("an assessment needs an outcome or a score")
		}
	case "attendance":
		if r.Outcome != "" || r.Score != nil {
			return errors.New("an attendance has neither outcome nor score; enter an assessment beside it")
		}
	case "":
		return errors.New("kind is missing: training, attendance or assessment")
	default:
		return errors.New("kind must be training, attendance or assessment")
	}
	return nil
}

func (r *record) measures() error {
	switch {
	case r.Minutes != nil && (*r.Minutes < 0 || *r.Minutes > 366*24*60):
		return errors.New("minutes must be from 0 to a year")
	case r.ScoreMax != nil && (r.Score == nil || *r.ScoreMax <= 0):
		return errors.New("score_max goes with a score, and is above 0")
	case r.Score != nil && (*r.Score < 0 || r.ScoreMax != nil && *r.Score > *r.ScoreMax):
		return errors.New("score must be from 0 to score_max")
	}
	return nil
}

// date makes an instant of the date. A day is its noon in UTC: wherever it was, it is that day or close to it.
func (r *record) date(now time.Time) error {
	if r.Date == "" {
		return nil // said already
	}
	t, err := time.Parse(time.RFC3339, r.Date)
	if err != nil {
		if t, err = time.Parse(time.DateOnly, r.Date); err == nil {
			t = t.Add(12 * time.Hour)
		}
	}
	switch {
	case err != nil:
		return errors.New("date must be like 2026-06-30 or 2026-06-30T14:00:00+02:00")
	case t.After(now.Add(24 * time.Hour)):
		return errors.New("date lies in the future")
	case t.Year() < 1900:
		return errors.New("date lies before 1900")
	}
	r.Date = t.UTC().Format(time.RFC3339)
	return nil
}
