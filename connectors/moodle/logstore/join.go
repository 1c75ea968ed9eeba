package logstore

import (
	"encoding/json"
	"regexp"
	"strings"

	"github.com/lrshub/lrshub/plugins/sdk"
)

// columns says what is brought of each table: what a statement can be made of, and nothing else of what Moodle knows. Instances of
// activities (any table named as a module is) are in instance.
var columns = map[string][]string{
	"assign_grades":             {"id", "assignment", "userid", "grader", "grade"},
	"assign_submission":         {"id", "assignment"},
	"assignfeedback_comments":   {"id", "assignment", "grade", "commenttext"},
	"badge":                     {"id", "name", "description", "message", "courseid", "type", "version", "language"},
	"badge_manual_award":        {"id", "issuerid"},
	"book_chapters":             {"id", "bookid", "pagenum", "subchapter", "title", "content"},
	"choice_answers":            {"id", "choiceid", "optionid"},
	"choice_options":            {"id", "choiceid", "text"},
	"comments":                  {"id", "itemid", "content"},
	"course":                    {"id", "fullname", "shortname", "idnumber", "lang", "summary"},
	"course_categories":         {"id", "name", "description", "parent"},
	"course_modules":            {"id", "course", "module", "instance", "section", "idnumber"},
	"course_sections":           {"id", "course", "section"},
	"event":                     {"id", "name"},
	"event_subscriptions":       {"id", "name", "url"},
	"facetoface_sessions_dates": {"id", "sessionid", "timestart", "timefinish"},
	"facetoface_signups":        {"id", "sessionid", "userid"},
	"facetoface_signups_status": {"id", "signupid", "statuscode", "timecreated"},
	"feedback_completed":        {"id", "feedback", "anonymous_response"},
	"feedback_item":             {"id", "feedback", "name", "presentation", "typ"},
	"feedback_value":            {"id", "completed", "item", "value"},
	"forum_discussions":         {"id", "name"},
	"forum_posts":               {"id", "discussion", "subject", "message"},
	"glossary_entries":          {"id", "glossaryid", "concept", "definition"},
	"grade_grades":              {"id", "itemid", "userid", "rawgrade", "rawgrademin", "rawgrademax", "timemodified"},
	"grade_items":               {"id", "itemmodule", "iteminstance", "grademin", "grademax", "gradepass"},
	"groups":                    {"id", "courseid", "name"},
	"groups_members":            {"id", "groupid", "userid"},
	"lesson_answers":            {"id", "pageid", "answer", "response", "score"},
	"lesson_attempts":           {"id", "lessonid", "pageid", "userid", "correct", "useranswer", "timeseen"},
	"lesson_pages":              {"id", "lessonid", "qtype", "title", "contents"},
	"message_conversations":     {"id", "itemid"},
	"messages":                  {"id", "conversationid", "subject", "fullmessage"},
	"modules":                   {"id", "name"},
	"post":                      {"id", "subject", "content"},
	"prog":                      {"id", "fullname"},
	"qtype_match_subquestions":  {"id", "questionid", "questiontext", "answertext"},
	"question":                  {"id", "name", "qtype", "questiontext"},
	"question_answers":          {"id", "question", "answer", "fraction"},
	"question_attempt_steps":    {"id", "questionattemptid", "sequencenumber", "fraction"},
	"question_attempts":         {"id", "questionusageid", "questionid", "responsesummary", "rightanswer", "minfraction", "maxfraction"},
	"question_numerical":        {"id", "answer", "tolerance"},
	"quiz_attempts":             {"id", "quiz", "userid", "uniqueid", "state", "timestart", "timefinish", "sumgrades"},
	"scorm_attempt":             {"id", "userid", "scormid", "attempt"},
	"scorm_element":             {"id", "element"},
	"scorm_scoes_value":         {"id", "scoid", "attemptid", "elementid", "value"},
	"tool_certificate_issues":   {"id", "code", "courseid"},
	"user_enrolments":           {"id", "status"},
	"wiki_pages":                {"id", "title", "cachedcontent"},
}

var instance = []string{"id", "name", "intro"}

// link leads from a row to others: those of table whose column has the value that the row has in from.
type link struct{ from, table, column string }

// links are followed from every row that was found, but for those of whole tables of people's grades, which need their user too.
var links = map[string][]link{
	"assign_grades":           {{"userid", "user", "id"}, {"grader", "user", "id"}, {"id", "assignfeedback_comments", "grade"}},
	"badge":                   {{"courseid", "course", "id"}},
	"badge_manual_award":      {{"issuerid", "user", "id"}},
	"choice_answers":          {{"optionid", "choice_options", "id"}},
	"course_modules":          {{"module", "modules", "id"}, {"section", "course_sections", "id"}, {"course", "course", "id"}},
	"facetoface_signups":      {{"userid", "user", "id"}, {"id", "facetoface_signups_status", "signupid"}},
	"feedback_value":          {{"item", "feedback_item", "id"}},
	"groups":                  {{"courseid", "course", "id"}},
	"groups_members":          {{"userid", "user", "id"}},
	"lesson_attempts":         {{"userid", "user", "id"}, {"pageid", "lesson_pages", "id"}},
	"lesson_pages":            {{"id", "lesson_answers", "pageid"}},
	"message_conversations":   {{"itemid", "groups", "id"}, {"itemid", "groups_members", "groupid"}},
	"question":                {{"id", "question_answers", "question"}, {"id", "qtype_match_subquestions", "questionid"}},
	"question_answers":        {{"id", "question_numerical", "answer"}},
	"question_attempts":       {{"questionid", "question", "id"}},
	"quiz_attempts":           {{"quiz", "quiz", "id"}, {"userid", "user", "id"}, {"uniqueid", "question_attempts", "questionusageid"}},
	"scorm_attempt":           {{"id", "scorm_scoes_value", "attemptid"}},
	"scorm_scoes_value":       {{"elementid", "scorm_element", "id"}},
	"tool_certificate_issues": {{"courseid", "course", "id"}},
}

// starts are the rows that an event leads to beside those that every event does. from is a column of the log, or other.NAME
// for what stands in its column other. The key is the beginning of the event's name.
var starts = []struct {
	event string
	links []link
}{
	{`\core\event\badge_`, []link{{"objectid", "badge", "id"}}},
	{`\core\event\badge_awarded`, []link{{"other.badgeissuedid", "badge_manual_award", "id"}}},
	{`\core\event\calendar_event_`, []link{{"objectid", "event", "id"}}},
	{`\core\event\calendar_subscription_`, []link{{"objectid", "event_subscriptions", "id"}}},
	{`\core\event\course_category_created`, []link{{"objectid", "course_categories", "id"}}},
	{`\core\event\course_section_created`, []link{{"objectid", "course_sections", "id"}}},
	{`\core\event\group_message_sent`, []link{{"objectid", "messages", "id"}}},
	{`\core\event\group_`, []link{{"objectid", "groups", "id"}}},
	{`\core\event\message_`, []link{{"objectid", "messages", "id"}}},
	{`\core\event\note_`, []link{{"objectid", "post", "id"}}},
	{`\core\event\question_created`, []link{{"objectid", "question", "id"}}},
	{`\core\event\user_enrolment_updated`, []link{{"objectid", "user_enrolments", "id"}}},
	{`\mod_assign\event\feedback_viewed`, []link{{"objectid", "assign_grades", "id"}}},
	{`\mod_assign\event\submission_graded`, []link{{"objectid", "assign_grades", "id"}}},
	{`\mod_book\event\chapter_`, []link{{"objectid", "book_chapters", "id"}}},
	{`\mod_choice\event\answer_created`, []link{{"objectid", "choice_answers", "id"}}},
	{`\mod_facetoface\event\take_attendance`, []link{{"objectid", "facetoface_signups", "sessionid"}, {"objectid", "facetoface_sessions_dates", "sessionid"}}},
	{`\mod_feedback\event\response_submitted`, []link{{"objectid", "feedback_completed", "id"}, {"objectid", "feedback_value", "completed"}}},
	{`\mod_forum\event\discussion_`, []link{{"objectid", "forum_discussions", "id"}, {"other.discussion", "forum_discussions", "id"}}},
	{`\mod_forum\event\post_`, []link{{"objectid", "forum_posts", "id"}, {"other.discussionid", "forum_discussions", "id"}}},
	{`\mod_glossary\event\comment_`, []link{{"objectid", "comments", "id"}, {"other.itemid", "glossary_entries", "id"}}},
	{`\mod_glossary\event\entry_`, []link{{"objectid", "glossary_entries", "id"}}},
	{`\mod_lesson\event\content_page_viewed`, []link{{"objectid", "lesson_pages", "id"}}},
	{`\mod_lesson\event\question_`, []link{{"objectid", "lesson_pages", "id"}}},
	{`\mod_lesson\event\essay_assessed`, []link{{"other.attemptid", "lesson_attempts", "id"}}},
	{`\mod_quiz\event\attempt_`, []link{{"objectid", "quiz_attempts", "id"}}},
	{`\mod_quiz\event\question_manually_graded`, []link{{"other.attemptid", "quiz_attempts", "id"}}},
	{`\mod_wiki\event\comment_`, []link{{"objectid", "comments", "id"}, {"other.itemid", "wiki_pages", "id"}}},
	{`\mod_wiki\event\comments_viewed`, []link{{"objectid", "wiki_pages", "id"}}},
	{`\mod_wiki\event\page_viewed`, []link{{"objectid", "wiki_pages", "id"}}},
	{`\tool_certificate\event\certificate_`, []link{{"objectid", "tool_certificate_issues", "id"}}},
	{`\totara_program\event\program_assigned`, []link{{"objectid", "prog", "id"}}},
}

// join collects the rows that one row of the log refers to.
type join struct {
	site  *site
	event row
	alive func()
	data  map[string][]map[string]json.RawMessage
	seen  map[string]bool // table and id
	rows  int
}

// maxJoined is how many rows one event may lead to.
const maxJoined = 20_000

// gather gives what stands under data in the record of an event.
func (s *site) gather(event row, alive func()) (map[string][]map[string]json.RawMessage, error) {
	j := &join{site: s, event: event, alive: alive, data: map[string][]map[string]json.RawMessage{}, seen: map[string]bool{}}
	steps := []link{{"userid", "user", "id"}, {"relateduserid", "user", "id"}, {"courseid", "course", "id"}}
	name := event.text("eventname")
	if err := j.take("course", "id", "1"); err != nil { // the site itself
		return nil, err
	}
	if inModule(event) {
		steps = append(steps, link{"contextinstanceid", "course_modules", "id"})
	}
	for _, start := range starts {
		if strings.HasPrefix(name, start.event) {
			steps = append(steps, start.links...)
		}
	}
	for _, step := range steps {
		if err := j.take(step.table, step.column, j.event.value(step.from)); err != nil {
			return nil, err
		}
	}
	return j.data, j.graded(name)
}

// inModule says whether the event happened in an activity, whose number is then contextinstanceid.
func inModule(event row) bool {
	if level := event.text("contextlevel"); level != "" {
		return level == "70"
	}
	return strings.HasPrefix(event.text("eventname"), `\mod_`)
}

var inOther = regexp.MustCompile(`"([a-z]+)"\s*[:;]\s*(?:s:[0-9]+:|i:)?"?([0-9]+)"?`)

// value gives a column, or a number out of the column other, which holds PHP's serialize or JSON.
func (r row) value(from string) string {
	name, ok := strings.CutPrefix(from, "other.")
	if !ok {
		return r.text(from)
	}
	text := r.text("other")
	if text == "" {
		text = string(r["other"])
	}
	for _, found := range inOther.FindAllStringSubmatch(text, -1) {
		if found[1] == name {
			return found[2]
		}
	}
	return ""
}

// take brings the rows of a table with a value, and those that they lead to.
func (j *join) take(table, column, value string) error {
	if value == "" || value == "0" {
		return nil
	}
	return j.takeSome(table, column, value, nil)
}

func (j *join) takeSome(table, column, value string, only func(row) bool) error {
	found, err := j.site.find(table, column, value, j.alive)
	if err != nil {
		return err
	}
	for _, r := range found {
		key := table + " " + r.text("id")
		if j.seen[key] || only != nil && !only(r) {
			continue
		}
		if j.rows++; j.rows > maxJoined {
			return sdk.Errorf(sdk.ClassData, "moodle: row %s of the log leads to more than %d rows", j.event.text("id"), maxJoined)
		}
		j.seen[key] = true
		j.data[table] = append(j.data[table], j.site.keep(table, r))
		for _, next := range links[table] {
			if err := j.take(next.table, next.column, r.text(next.from)); err != nil {
				return err
			}
		}
		if table == "course_modules" {
			if err := j.module(r); err != nil {
				return err
			}
		}
	}
	return nil
}

// module brings the activity of a course module, whose table is named as the module is.
func (j *join) module(cm row) error {
	modules, err := j.site.find("modules", "id", cm.text("module"), j.alive)
	if err != nil || len(modules) == 0 {
		return err
	}
	name := modules[0].text("name")
	if err := j.take(name, "id", cm.text("instance")); err != nil || name != "choice" {
		return err
	}
	return j.take("choice_options", "choiceid", cm.text("instance"))
}

// graded brings what is found by two columns: of grades and attempts only those of the people of this event.
func (j *join) graded(name string) error {
	event := j.event
	mine := func(r row) bool {
		user := r.text("userid")
		return user != "" && (user == event.text("userid") || user == event.text("relateduserid"))
	}
	for _, cm := range j.data["course_modules"] {
		module := strings.TrimSuffix(strings.TrimPrefix(strings.SplitN(name, `\event\`, 2)[0], `\mod_`), `\`)
		if module != "quiz" && module != "lesson" && module != "assign" {
			break
		}
		ofModule := func(r row) bool { return r.text("itemmodule") == module }
		if err := j.takeSome("grade_items", "iteminstance", row(cm).text("instance"), ofModule); err != nil {
			return err
		}
	}
	for _, item := range j.data["grade_items"] {
		if err := j.takeSome("grade_grades", "itemid", row(item).text("id"), mine); err != nil {
			return err
		}
	}
	switch {
	case name == `\mod_lesson\event\question_answered`:
		return j.takeSome("lesson_attempts", "pageid", event.text("objectid"), mine)
	case name == `\mod_scorm\event\scoreraw_submitted`, name == `\mod_scorm\event\status_submitted`:
		return j.takeSome("scorm_attempt", "scormid", event.text("objectid"), func(r row) bool {
			return mine(r) && r.text("attempt") == event.value("other.attemptid")
		})
	case name == `\mod_book\event\chapter_viewed`:
		return j.chapters()
	case name == `\mod_quiz\event\question_manually_graded`:
		for _, attempt := range j.data["question_attempts"] {
			if err := j.take("question_attempt_steps", "questionattemptid", row(attempt).text("id")); err != nil {
				return err
			}
		}
	}
	return j.followUps(name)
}

// chapters brings the chapters of the book, one of which a lower chapter belongs to.
func (j *join) chapters() error {
	chapters := j.data["book_chapters"]
	if len(chapters) == 0 || row(chapters[0]).text("subchapter") == "0" {
		return nil
	}
	return j.takeSome("book_chapters", "bookid", row(chapters[0]).text("bookid"), func(r row) bool { return r.text("subchapter") == "0" })
}

// followUps brings what a comment or a message is in: which table that is depends on the event.
func (j *join) followUps(name string) error {
	for _, comment := range j.data["comments"] {
		table := "wiki_pages"
		if strings.HasPrefix(name, `\mod_glossary\`) {
			table = "glossary_entries"
		}
		if err := j.take(table, "id", row(comment).text("itemid")); err != nil {
			return err
		}
	}
	if name == `\core\event\group_message_sent` {
		for _, message := range j.data["messages"] {
			if err := j.take("message_conversations", "id", row(message).text("conversationid")); err != nil {
				return err
			}
		}
	}
	if categories := j.data["course_categories"]; len(categories) > 0 {
		return j.take("course_categories", "id", row(categories[0]).text("parent"))
	}
	return nil
}
