package qti

import (
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/net/html/charset"
)

// errBroken is wrapped by what is wrong with a document. Its text holds no value of the document.
var errBroken = errors.New("the document is no QTI result")

// document reads one assessmentResult, element by element (Results Reporting 2.1, 2.2 and 3.0, which differ in their namespaces only; delivery systems
// write others, or none, so local names count). No document type is read and no entity resolved; what an element holds is held in memory, not the document.
type document struct {
	c         *config
	xml       *xml.Decoder
	candidate string
	session   string
	test      string
	began     bool
}

func newDocument(c *config, from io.Reader) *document {
	d := &document{c: c, xml: xml.NewDecoder(from)}
	d.xml.CharsetReader = charset.NewReaderLabel
	return d
}

// next gives the next record of a stream; io.EOF after the last. Errors that are not errBroken are those of reading.
func (d *document) next(stream string) ([]byte, error) {
	for {
		token, err := d.xml.Token()
		if err == io.EOF && d.began {
			return nil, io.EOF
		}
		if err != nil {
			return nil, d.broken(err)
		}
		switch t := token.(type) {
		case xml.Directive:
			return nil, fmt.Errorf("%w: line %d holds a document type or entities, which are not read", errBroken, d.line())
		case xml.StartElement:
			record, err := d.element(stream, t)
			if err != nil {
				return nil, d.broken(err)
			}
			if record != nil {
				return json.Marshal(record)
			}
		}
	}
}

// element deals with an element: record is nil if it is none of the stream's.
func (d *document) element(stream string, start xml.StartElement) (record any, err error) {
	name := start.Name.Local
	if !d.began {
		if d.began = true; name != "assessmentResult" {
			return nil, fmt.Errorf("%w: its first element is not assessmentResult", errBroken)
		}
		return nil, nil
	}
	switch name {
	case "context":
		var context xmlContext
		if err := d.xml.DecodeElement(&context, &start); err != nil {
			return nil, err
		}
		d.candidate = context.Candidate
		if len(context.Sessions) > 0 {
			d.session = context.Sessions[0].ID
		}
		return nil, nil
	case "testResult":
		var result xmlResult
		if err := d.xml.DecodeElement(&result, &start); err != nil {
			return nil, err
		}
		if d.test = result.ID; stream == "test" {
			return d.result(result), nil
		}
		return nil, nil
	case "itemResult":
		if stream != "item" {
			return nil, d.xml.Skip()
		}
		var result xmlResult
		if err := d.xml.DecodeElement(&result, &start); err != nil {
			return nil, err
		}
		return d.item(result), nil
	}
	return nil, d.xml.Skip()
}

func (d *document) line() int {
	line, _ := d.xml.InputPos()
	return line
}

// broken words what the XML decoder complains of, by line and without what stands there.
func (d *document) broken(err error) error {
	var syntax *xml.SyntaxError
	switch {
	case errors.Is(err, errBroken):
		return err
	case err == io.EOF:
		return fmt.Errorf("%w: it is empty: %w", errBroken, io.ErrUnexpectedEOF)
	case errors.As(err, &syntax) && syntax.Msg == "unexpected EOF":
		return fmt.Errorf("%w: it ends in line %d, before its last element does: %w", errBroken, syntax.Line, io.ErrUnexpectedEOF)
	case errors.As(err, &syntax), strings.HasPrefix(err.Error(), "xml: "), strings.HasPrefix(err.Error(), "html/charset"):
		return fmt.Errorf("%w: it is not well-formed XML in line %d, or not in the encoding that it names", errBroken, d.line())
	}
	return err
}

type xmlContext struct {
	Candidate string `xml:"sourcedId,attr"`
	Sessions  []struct {
		ID string `xml:"identifier,attr"`
	} `xml:"sessionIdentifier"`
}

type xmlResult struct {
	ID        string        `xml:"identifier,attr"`
	Stamp     string        `xml:"datestamp,attr"`
	Status    string        `xml:"sessionStatus,attr"`
	Sequence  string        `xml:"sequenceIndex,attr"`
	Responses []xmlVariable `xml:"responseVariable"`
	Outcomes  []xmlVariable `xml:"outcomeVariable"`
}

type xmlVariable struct {
	ID          string   `xml:"identifier,attr"`
	Base        string   `xml:"baseType,attr"`
	Cardinality string   `xml:"cardinality,attr"`
	Choices     string   `xml:"choiceSequence,attr"`
	Min         string   `xml:"normalMinimum,attr"`
	Max         string   `xml:"normalMaximum,attr"`
	Mastery     string   `xml:"masteryValue,attr"`
	Correct     []string `xml:"correctResponse>value"`
	Candidate   []string `xml:"candidateResponse>value"`
	Values      []string `xml:"value"`
}

// result is a record of the stream test, and what one of the stream item begins with.
type result struct {
	Candidate string     `json:"candidate"` // sourcedId; "" if the document names none
	Session   string     `json:"session"`   // the first sessionIdentifier
	Test      string     `json:"test"`
	Stamp     string     `json:"stamp"`              // datestamp as written
	At        *time.Time `json:"at,omitempty"`       // datestamp as an instant
	Duration  *float64   `json:"duration,omitempty"` // seconds
	Score     *float64   `json:"score,omitempty"`
	Min       *float64   `json:"min,omitempty"`
	Max       *float64   `json:"max,omitempty"`
	Mastery   *float64   `json:"mastery,omitempty"`
	Outcomes  []variable `json:"outcomes,omitempty"`
}

// item is a record of the stream item.
type item struct {
	result
	Item       string     `json:"item"`
	Attempt    int        `json:"attempt"` // numAttempts; 0 if it is not reported
	Status     string     `json:"status"`  // sessionStatus: final, initial, pendingSubmission, pendingResponseProcessing
	Sequence   *int       `json:"sequence,omitempty"`
	Completion string     `json:"completion,omitempty"` // completionStatus
	Correct    *bool      `json:"correct,omitempty"`    // every response is the correct one, where the document says which that is
	Responses  []variable `json:"responses,omitempty"`
}

type variable struct {
	ID          string   `json:"id"`
	Base        string   `json:"base,omitempty"`
	Cardinality string   `json:"cardinality,omitempty"`
	Values      []string `json:"values,omitempty"`
	Correct     []string `json:"correct,omitempty"`
	Choices     []string `json:"choices,omitempty"`
}

// What delivery systems call the score and the highest score of a test or an item, beside the configured name.
var (
	scoreNames = []string{"TOTAL_SCORE", "SCORE_TOTAL"}
	maxNames   = []string{"MAXSCORE", "TOTAL_MAXSCORE", "SCORE_TOTAL_MAX"}
)

func (d *document) result(x xmlResult) result {
	r := result{Candidate: d.candidate, Session: d.session, Test: d.test, Stamp: x.Stamp, At: instant(x.Stamp, d.c.zone)}
	if v := find(x.Responses, "duration"); v != nil {
		r.Duration = seconds(first(v.Candidate))
	}
	if v := find(x.Outcomes, append([]string{d.c.Score}, scoreNames...)...); v != nil {
		r.Score, r.Min, r.Max, r.Mastery = number(first(v.Values)), number(v.Min), number(v.Max), number(v.Mastery)
	}
	if v := find(x.Outcomes, maxNames...); v != nil && r.Max == nil {
		r.Max = number(first(v.Values))
	}
	for _, v := range x.Outcomes {
		r.Outcomes = append(r.Outcomes, variable{ID: v.ID, Base: v.Base, Cardinality: v.Cardinality, Values: v.texts(v.Values)})
	}
	return r
}

func (d *document) item(x xmlResult) item {
	i := item{result: d.result(x), Item: x.ID, Status: x.Status}
	if v := find(x.Responses, "numAttempts"); v != nil {
		i.Attempt, _ = strconv.Atoi(first(v.Candidate)) // what is no number is not reported
	}
	if n, err := strconv.Atoi(x.Sequence); err == nil {
		i.Sequence = &n
	}
	if v := find(x.Outcomes, "completionStatus"); v != nil {
		i.Completion = first(v.Values)
	}
	for _, v := range x.Responses {
		if v.ID == "duration" || v.ID == "numAttempts" {
			continue
		}
		i.Responses = append(i.Responses, variable{
			ID: v.ID, Base: v.Base, Cardinality: v.Cardinality, Values: v.texts(v.Candidate), Correct: v.texts(v.Correct), Choices: strings.Fields(v.Choices),
		})
	}
	i.Correct = correct(i.Responses)
	return i
}

// correct compares what was answered with what is correct; nil unless the document says for every response which that is.
func correct(responses []variable) *bool {
	all := len(responses) > 0
	for _, r := range responses {
		if len(r.Correct) == 0 {
			return nil
		}
		given, right := slices.Clone(r.Values), slices.Clone(r.Correct)
		if r.Cardinality != "ordered" {
			slices.Sort(given)
			slices.Sort(right)
		}
		all = all && slices.Equal(given, right)
	}
	if len(responses) == 0 {
		return nil
	}
	return &all
}

// texts leaves out blanks around values, empty values, and files: their content is nobody's business here.
func (v xmlVariable) texts(values []string) (list []string) {
	if v.Base == "file" {
		return nil
	}
	for _, text := range values {
		if text = strings.TrimSpace(text); text != "" {
			list = append(list, text)
		}
	}
	return list
}

// find gives the variable of the first of the names that there is.
func find(list []xmlVariable, names ...string) *xmlVariable {
	for _, name := range names {
		if i := slices.IndexFunc(list, func(v xmlVariable) bool { return v.ID == name }); i >= 0 {
			return &list[i]
		}
	}
	return nil
}

func first(values []string) string {
	if len(values) == 0 {
		return ""
	}
	return strings.TrimSpace(values[0])
}

// number reads a float as JSON can say it; nil if it is none.
func number(text string) *float64 {
	f, err := strconv.ParseFloat(strings.Replace(strings.TrimSpace(text), ",", ".", 1), 64)
	if err != nil || f-f != 0 { // not finite
		return nil
	}
	return &f
}

// instant reads an xs:dateTime; the zone is for one that names none.
func instant(text string, zone *time.Location) *time.Time {
	for _, layout := range []string{time.RFC3339Nano, "2006-01-02T15:04:05.999999999"} {
		if t, err := time.ParseInLocation(layout, strings.TrimSpace(text), zone); err == nil && t.Year() > 0 {
			t = t.UTC()
			return &t
		}
	}
	return nil
}

var isoDuration = regexp.MustCompile(`^P(?:(\d+)D)?(?:T(?:(\d+)H)?(?:(\d+)M)?(?:(\d+(?:[.,]\d+)?)S)?)?$`)

// seconds reads a duration: seconds, as QTI says, or ISO 8601, as delivery systems write; nil if it is neither.
func seconds(text string) *float64 {
	parts := isoDuration.FindStringSubmatch(text)
	if parts == nil {
		if f := number(text); f != nil && *f >= 0 {
			return f
		}
		return nil
	}
	sum := 0.0
	for i, unit := range []float64{86400, 3600, 60, 1} {
		if f := number(parts[i+1]); f != nil {
			sum += *f * unit
		}
	}
	return &sum
}
