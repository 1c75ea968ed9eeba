package scormcloud

import (
	"encoding/json"
	"slices"
	"strings"
	"time"
	"unicode/utf8"
)

// source is what is read of a registration (RegistrationSchema).
type source struct {
	ID             string
	Instance       int
	Updated        string
	XAPI           string `json:"xapiRegistrationId"`
	Completion     string `json:"registrationCompletion"`
	Success        string `json:"registrationSuccess"`
	Score          *struct{ Scaled *float64 }
	Seconds        *float64 `json:"totalSecondsTracked"`
	First          string   `json:"firstAccessDate"`
	Last           string   `json:"lastAccessDate"`
	Completed      string   `json:"completedDate"`
	Course         struct{ ID, Title string }
	Learner        struct{ ID string } // neither name nor mail
	ActivityDetail *activity           `json:"activityDetails"`
}

type activity struct {
	ID, Title string
	Children  []activity
	Runtime   *struct {
		Interactions []interaction `json:"runtimeInteractions"`
	}
}

type interaction struct {
	ID, Type, Result, Latency, Description string
	Timestamp                              string   `json:"timestampUtc"`
	Response                               string   `json:"learnerResponse"`
	Correct                                []string `json:"correctResponses"`
}

// common begins the records of both streams.
type common struct {
	ID           string `json:"id"`
	Instance     int    `json:"instance"`
	Updated      string `json:"updated"`
	Learner      string `json:"learner"`
	Course       string `json:"course"`
	Registration string `json:"registration,omitempty"` // a UUID
}

func (s source) common() common {
	return common{ID: s.ID, Instance: s.Instance, Updated: instant(s.Updated), Learner: s.Learner.ID, Course: s.Course.ID, Registration: s.XAPI}
}

// parse reads a registration. One that is none, or no UTF-8, goes to the hub as it is, which says what is wrong with it.
func parse(element []byte) (s source, ok bool) {
	err := json.Unmarshal(element, &s)
	return s, err == nil && utf8.Valid(element)
}

// registration makes the record of one.
func registration(element []byte, each func([]byte) error) error {
	s, ok := parse(element)
	if !ok {
		return each(element)
	}
	record := struct {
		common
		Title      string   `json:"title,omitempty"`
		Completion string   `json:"completion,omitempty"` // completed, incomplete; left out if it is unknown
		Success    string   `json:"success,omitempty"`    // passed, failed; left out if it is unknown
		Score      *float64 `json:"score,omitempty"`      // of 100
		Seconds    *float64 `json:"seconds,omitempty"`
		First      string   `json:"first,omitempty"`
		Last       string   `json:"last,omitempty"`
		Completed  string   `json:"completed,omitempty"`
	}{
		common: s.common(), Title: s.Course.Title, Completion: known(s.Completion), Success: known(s.Success),
		Seconds: s.Seconds, First: instant(s.First), Last: instant(s.Last), Completed: instant(s.Completed),
	}
	if s.Score != nil {
		record.Score = s.Score.Scaled
	}
	text, err := json.Marshal(record)
	if err != nil {
		return err
	}
	return each(text)
}

// interactions makes a record of each interaction of each activity, parents first.
func interactions(element []byte, each func([]byte) error) error {
	s, ok := parse(element)
	if !ok {
		return s.aside(element, each)
	}
	if s.ActivityDetail == nil {
		return nil
	}
	return s.below(*s.ActivityDetail, each)
}

// aside has each interaction of a registration that cannot be read turned aside; blanks keep them from being taken for one.
func (s source) aside(element []byte, each func([]byte) error) error {
	n := 0
	count := func([]byte) error { n++; return nil }
	if s.ActivityDetail == nil || s.below(*s.ActivityDetail, count) != nil {
		n = 1
	}
	for i := range n {
		if err := each(append(slices.Clone(element), strings.Repeat(" ", i)...)); err != nil {
			return err
		}
	}
	return nil
}

func (s source) below(a activity, each func([]byte) error) error {
	if a.Runtime != nil {
		for n, i := range a.Runtime.Interactions {
			text, err := json.Marshal(struct {
				common
				Activity    string   `json:"activity"`
				Title       string   `json:"title,omitempty"`
				Index       int      `json:"index"` // a course may report the same interaction several times
				Interaction string   `json:"interaction"`
				Kind        string   `json:"kind,omitempty"` // as xAPI names it
				At          string   `json:"at,omitempty"`
				Response    string   `json:"response,omitempty"`
				Result      string   `json:"result,omitempty"`
				Latency     string   `json:"latency,omitempty"` // ISO 8601
				Description string   `json:"description,omitempty"`
				Correct     []string `json:"correct,omitempty"`
			}{
				s.common(), a.ID, a.Title, n, i.ID, kind(i.Type), instant(i.Timestamp), i.Response, strings.ToLower(i.Result), latency(i.Latency), i.Description, i.Correct,
			})
			if err != nil {
				return err
			}
			if err := each(text); err != nil {
				return err
			}
		}
	}
	for _, child := range a.Children {
		if err := s.below(child, each); err != nil {
			return err
		}
	}
	return nil
}

// known is a state in lower case, "" where SCORM Cloud says UNKNOWN.
func known(state string) string {
	if state = strings.ToLower(state); state == "unknown" {
		return ""
	}
	return state
}

// instant is a time in UTC; "" if there is none. SCORM Cloud's times have no zone where they are in UTC.
func instant(text string) string {
	for _, layout := range []string{time.RFC3339Nano, "2006-01-02T15:04:05.999999999"} {
		if t, err := time.Parse(layout, text); err == nil {
			return t.UTC().Format(time.RFC3339Nano)
		}
	}
	return ""
}

// kinds are the interaction types of SCORM 1.2, SCORM 2004 and xAPI, which write the same words in different ways.
var kinds = []string{"true-false", "choice", "fill-in", "long-fill-in", "matching", "performance", "sequencing", "likert", "numeric", "other"}

func kind(written string) string {
	bare := func(s string) string {
		return strings.NewReplacer("_", "", "-", "", " ", "").Replace(strings.ToLower(s))
	}
	if i := slices.IndexFunc(kinds, func(k string) bool { return bare(k) == bare(written) }); i >= 0 {
		return kinds[i]
	}
	return ""
}

// latency keeps what is ISO 8601, and makes that of a SCORM 1.2 timespan (HHHH:MM:SS.SS).
func latency(text string) string {
	if strings.HasPrefix(text, "P") {
		return text
	}
	parts := strings.Split(text, ":")
	if len(parts) != 3 {
		return ""
	}
	for _, part := range parts {
		if part == "" || strings.Trim(part, "0123456789.") != "" {
			return ""
		}
	}
	return "PT" + parts[0] + "H" + parts[1] + "M" + parts[2] + "S"
}
