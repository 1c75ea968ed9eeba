package moodle

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"hash/fnv"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"time"

	"github.com/lrshub/lrshub/plugins/sdk"
	"github.com/lrshub/lrshub/plugins/sdk/rest"
)

// Moodle can say neither what was completed since a time nor which attempts are new: it must be asked about each person. So a course's
// grades are asked for first, in one request, and only those are asked about whose grades or last access are later than the last time.

// cursor of the streams completion and attempt: up to when each course is known, and how far the course under way was read.
type cursor struct {
	Version int    `json:"v"`
	Known   []byte `json:"known,omitempty"`  // rest.Marks: courses, seconds of Unix time
	Course  string `json:"course,omitempty"` // under way
	Began   int64  `json:"began,omitempty"`  // when it was begun, by Moodle's clock
	Done    int    `json:"done,omitempty"`   // buckets of people that are dealt with
}

const (
	knownBytes = 48 << 10
	lookBack   = 10 * time.Minute
	// buckets are how many parts the people of a course are cut into by a hash, so that a cursor can stand between them without naming anybody.
	buckets = 256
)

// activity is what shows that something about a person in a course is new.
type activity struct {
	user    int64
	latest  int64 // seconds of Unix time
	quizzes []quizGrade
}

// quizGrade is an item of the grade report that is a quiz's.
type quizGrade struct {
	Name      string  `json:"itemname"`
	Module    string  `json:"itemmodule"`
	Quiz      int64   `json:"iteminstance"`
	CM        int64   `json:"cmid"`
	Max       float64 `json:"grademax"`
	Submitted int64   `json:"gradedatesubmitted"`
	Graded    int64   `json:"gradedategraded"`
}

func (q quizGrade) at() int64 { return max(q.Submitted, q.Graded) }

// changedReader reads one of the two streams.
type changedReader struct {
	*rest.Client
	out   *sdk.Output
	cur   cursor
	known *rest.Marks
	clock time.Time // Moodle's, of its last answer
	about func(ctx context.Context, course string, a activity) error
}

func readChanged(ctx context.Context, c *rest.Client, r sdk.Request, out *sdk.Output) error {
	rd := &changedReader{Client: c, out: out, cur: cursor{Version: 1}, known: &rest.Marks{}}
	if r.Cursor != nil && !r.Full {
		if err := json.Unmarshal(r.Cursor, &rd.cur); err != nil || rd.cur.Version != 1 {
			return sdk.Errorf(sdk.ClassCursorExpired, "moodle: the cursor is of another version of the connector")
		}
		known, err := rest.ParseMarks(rd.cur.Known)
		if err != nil {
			return sdk.Errorf(sdk.ClassCursorExpired, "moodle: the cursor is damaged")
		}
		rd.known = known
	}
	rd.about = rd.completion
	if r.Stream == attemptStream.Name {
		rd.about = rd.attempts
	}
	var all []string
	if err := courses(ctx, c, func(id string) error { all = append(all, id); return nil }); err != nil {
		return err
	}
	rd.known.Keep(all)
	slices.SortFunc(all, func(a, b string) int { return cmp.Or(cmp.Compare(len(a), len(b)), cmp.Compare(a, b)) })
	from := 0
	if i := slices.Index(all, rd.cur.Course); i >= 0 {
		from = i // those before it were read in this run
	} else {
		rd.cur.Course, rd.cur.Began, rd.cur.Done = "", 0, 0
	}
	for i, course := range all[from:] {
		out.Progress(int64(from+i), int64(len(all)))
		if err := rd.course(ctx, course); err != nil {
			return err
		}
	}
	rd.cur.Course = ""
	return rd.checkpoint()
}

func (rd *changedReader) checkpoint() error {
	rd.cur.Known = rd.known.Append(nil, knownBytes)
	text, err := json.Marshal(rd.cur)
	if err != nil {
		return err
	}
	return rd.out.Checkpoint(text)
}

// course reads what is new of the people of a course, bucket by bucket.
func (rd *changedReader) course(ctx context.Context, course string) error {
	mark, _ := rd.known.Get(course)
	since := max(0, int64(mark)-int64(lookBack.Seconds()))
	changed, err := rd.changed(ctx, course, since)
	if err != nil {
		return err
	}
	if rd.cur.Course != course {
		rd.cur.Course, rd.cur.Began, rd.cur.Done = course, rd.clock.Unix(), 0
	}
	for _, a := range changed {
		b := bucket(a.user)
		if b < rd.cur.Done {
			continue
		}
		if b > rd.cur.Done {
			rd.cur.Done = b
			if rd.out.Due() {
				if err := rd.checkpoint(); err != nil {
					return err
				}
			}
		}
		if err := rd.about(ctx, course, a); err != nil {
			return err
		}
	}
	rd.known.Set(course, uint64(rd.cur.Began))
	rd.cur.Done = buckets
	if rd.out.Due() {
		return rd.checkpoint()
	}
	return nil
}

// bucket gives the part of a course's people that somebody is in.
func bucket(user int64) int {
	h := fnv.New32a()
	fmt.Fprint(h, user)
	return int(h.Sum32() % buckets)
}

// changed lists those of a course of whom there is something new, in the order of their buckets.
func (rd *changedReader) changed(ctx context.Context, course string, since int64) ([]activity, error) {
	byUser := map[int64]*activity{}
	of := func(user int64) *activity {
		if byUser[user] == nil {
			byUser[user] = &activity{user: user}
		}
		return byUser[user]
	}
	config := url.Values{"courseid": {course}}
	err := rd.list(ctx, server+"gradereport_user_get_grade_items", config, "usergrades", func(element []byte) error {
		var g struct {
			User  int64       `json:"userid"`
			Items []quizGrade `json:"gradeitems"`
		}
		if err := json.Unmarshal(element, &g); err != nil || g.User == 0 {
			return sdk.Errorf(sdk.ClassSourceBug, "the grade report is not what Moodle documents")
		}
		a := of(g.User)
		for _, item := range g.Items {
			a.latest = max(a.latest, item.at())
			if item.Module == "quiz" && item.at() > since {
				a.quizzes = append(a.quizzes, item)
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	const most = 500
	for from, n := 0, most; n == most; from += most {
		n = 0
		page := url.Values{"courseid": {course}, "options[0][name]": {"limitfrom"}, "options[0][value]": {strconv.Itoa(from)},
			"options[1][name]": {"limitnumber"}, "options[1][value]": {strconv.Itoa(most)}, "options[2][name]": {"sortby"}, "options[2][value]": {"id"}}
		err := rd.list(ctx, server+"core_enrol_get_enrolled_users", page, "", func(element []byte) error {
			n++
			var u struct {
				ID     int64 `json:"id"`
				Access int64 `json:"lastcourseaccess"`
			}
			if err := json.Unmarshal(element, &u); err != nil || u.ID == 0 {
				return sdk.Errorf(sdk.ClassSourceBug, "the list of enrolled users is not what Moodle documents")
			}
			of(u.ID).latest = max(of(u.ID).latest, u.Access)
			return nil
		})
		if err != nil {
			return nil, err
		}
		rd.out.Progress(0, 0)
	}
	var all []activity
	for _, a := range byUser {
		if a.latest > since {
			all = append(all, *a)
		}
	}
	slices.SortFunc(all, func(a, b activity) int {
		return cmp.Or(cmp.Compare(bucket(a.user), bucket(b.user)), cmp.Compare(a.user, b.user))
	})
	return all, nil
}

// list asks a web service and gives each element of the list at a path of its answer, whatever its length.
func (rd *changedReader) list(ctx context.Context, path string, query url.Values, at string, each func([]byte) error) error {
	response, err := rd.Get(ctx, path, query)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	rd.clock = rd.Now()
	if date, err := http.ParseTime(response.Header.Get("Date")); err == nil {
		rd.clock = date
	}
	_, err = rest.JSON(at)(response.Body, each)
	return err
}

// completion brings how far somebody has got in a course. A course without criteria has none, and some may not be looked at.
func (rd *changedReader) completion(ctx context.Context, course string, a activity) error {
	var answer struct {
		Status json.RawMessage `json:"completionstatus"`
	}
	err := rd.JSON(ctx, completions, url.Values{"courseid": {course}, "userid": {strconv.FormatInt(a.user, 10)}}, &answer)
	if refused(err, "nocriteria", "nocriteriaset", "completionnotenabled", "cannotviewreport", "notenroled", "usernotenroled") {
		return nil
	}
	if err != nil {
		return err
	}
	text, err := json.Marshal(map[string]any{"courseid": json.RawMessage(course), "userid": a.user, "status": answer.Status})
	if err != nil {
		return sdk.Errorf(sdk.ClassSourceBug, "what Moodle gave cannot be written as JSON")
	}
	return rd.out.Record(text, "completion in course "+course)
}

// attempts brings somebody's attempts at the quizzes whose grades are new, with the state and mark of each question where
// Moodle shows the review.
func (rd *changedReader) attempts(ctx context.Context, course string, a activity) error {
	for _, quiz := range a.quizzes {
		var answer struct {
			Attempts []map[string]json.RawMessage `json:"attempts"`
		}
		err := rd.JSON(ctx, attemptList, url.Values{"quizid": {strconv.FormatInt(quiz.Quiz, 10)}, "userid": {strconv.FormatInt(a.user, 10)},
			"status": {"all"}, "includepreviews": {"0"}}, &answer)
		if err != nil {
			return err
		}
		for _, attempt := range answer.Attempts { // all of them: one that is graded by hand keeps its times
			if err := rd.attempt(ctx, course, quiz, attempt); err != nil {
				return err
			}
		}
	}
	return nil
}

// maxQuestions bounds what is brought of one attempt.
const maxQuestions = 2000

func (rd *changedReader) attempt(ctx context.Context, course string, quiz quizGrade, attempt map[string]json.RawMessage) error {
	record := map[string]any{"courseid": json.RawMessage(course), "quizid": quiz.Quiz, "cmid": quiz.CM, "quizname": quiz.Name, "grademax": quiz.Max}
	for _, name := range []string{"id", "userid", "attempt", "state", "timestart", "timefinish", "timemodified", "sumgrades"} {
		if value, there := attempt[name]; there {
			record[name] = value
		}
	}
	if string(attempt["state"]) == `"finished"` {
		var review struct {
			Grade     json.RawMessage              `json:"grade"`
			Questions []map[string]json.RawMessage `json:"questions"`
		}
		err := rd.JSON(ctx, reviewOf, url.Values{"attemptid": {string(attempt["id"])}, "page": {"-1"}}, &review)
		if err != nil && !refused(err, "noreview", "noreviewattempt", "noreviewshort", "cannotreview", "attemptclosed", "nopermissions", "required_capability_exception") {
			return err
		}
		if err == nil {
			record["grade"] = review.Grade
			record["questions"] = questions(review.Questions)
		}
	}
	text, err := json.Marshal(record)
	if err != nil {
		return sdk.Errorf(sdk.ClassSourceBug, "what Moodle gave cannot be written as JSON")
	}
	return rd.out.Record(text, "attempt in course "+course)
}

// questions keeps of a review what is of use: not the HTML that a browser shows.
func questions(all []map[string]json.RawMessage) []map[string]json.RawMessage {
	kept := make([]map[string]json.RawMessage, 0, min(len(all), maxQuestions))
	for _, q := range all[:min(len(all), maxQuestions)] {
		few := map[string]json.RawMessage{}
		for _, name := range []string{"slot", "type", "number", "questionnumber", "state", "mark", "maxmark"} {
			if value, there := q[name]; there {
				few[name] = value
			}
		}
		kept = append(kept, few)
	}
	return kept
}
