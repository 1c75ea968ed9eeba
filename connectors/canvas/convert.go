package canvas

import (
	"encoding/json"

	"github.com/lrshub/lrshub/plugins/sdk"
)

// members is a JSON object whose values stay as Canvas wrote them.
type members map[string]json.RawMessage

func (m members) has(name string) bool { return len(m[name]) > 0 && string(m[name]) != "null" }

// attempts completes a submission: one that was graded without being handed in has no attempt, which is written as 0.
func attempts(element []byte, each func([]byte) error) error {
	var m members
	if err := json.Unmarshal(element, &m); err != nil || m == nil {
		return each(element) // the hub says what is wrong with it
	}
	if !m.has("attempt") {
		m["attempt"] = json.RawMessage("0")
	}
	text, err := json.Marshal(m)
	if err != nil {
		return sdk.Errorf(sdk.ClassSourceBug, "a submission cannot be written as JSON")
	}
	return each(text)
}

// answers makes a record of each question of each attempt of a quiz. Canvas has them in the history of a submission; submissions of
// other kinds have none, nor has what was graded before the window, but for attempts before the last one, which come again.
func answers(element []byte, each func([]byte) error) error {
	var s struct {
		ID         json.RawMessage `json:"id"`
		User       json.RawMessage `json:"user_id"`
		Assignment json.RawMessage `json:"assignment_id"`
		GradedAt   json.RawMessage `json:"graded_at"`
		About      struct {
			Course json.RawMessage `json:"course_id"`
			Name   json.RawMessage `json:"name"`
		} `json:"assignment"`
		History []struct {
			Attempt     json.RawMessage `json:"attempt"`
			SubmittedAt json.RawMessage `json:"submitted_at"`
			Data        json.RawMessage `json:"submission_data"`
		} `json:"submission_history"`
	}
	if err := json.Unmarshal(element, &s); err != nil {
		return sdk.Errorf(sdk.ClassSourceBug, "a submission's history is not what Canvas documents")
	}
	last := map[string]int{} // an attempt stands there once more each time that it is graded
	for i, version := range s.History {
		if len(version.Data) > 0 {
			last[string(version.Attempt)] = i
		}
	}
	for i, version := range s.History {
		if last[string(version.Attempt)] != i {
			continue
		}
		var questions []members
		if json.Unmarshal(version.Data, &questions) != nil {
			continue // no quiz
		}
		for _, q := range questions {
			if !q.has("question_id") {
				continue
			}
			record := members{"submission_id": s.ID, "user_id": s.User, "assignment_id": s.Assignment, "graded_at": s.GradedAt,
				"course_id": s.About.Course, "assignment_name": s.About.Name, "attempt": version.Attempt, "submitted_at": version.SubmittedAt,
				"question_id": q["question_id"], "correct": q["correct"], "points": q["points"], "text": q["text"], "answer_id": q["answer_id"]}
			for name, value := range record {
				if len(value) == 0 {
					delete(record, name)
				}
			}
			text, err := json.Marshal(record)
			if err != nil {
				return sdk.Errorf(sdk.ClassSourceBug, "an answer cannot be written as JSON")
			}
			if err := each(text); err != nil {
				return err
			}
		}
	}
	return nil
}
