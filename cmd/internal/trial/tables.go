package trial

import (
	"encoding/csv"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// Tables are made-up tables in the shape of the Open University Learning Analytics Dataset, as the examples of the csv connector
// (connectors/csv/examples/oulad) read them. Change what they hold and Write again.
type Tables struct {
	Folder   string
	Students []Student
	Results  []Mark
}

// Student is a learner of the one presentation that there is.
type Student struct {
	ID          string
	Unregisters bool
	Credits     int
	Unmapped    string // what stands in each column that no mapping names
}

// Mark is what a student achieved in an assessment.
type Mark struct {
	Assessment int
	Student    string
	Score      int // -1: none
	Submitted  int // day of the presentation
}

// assessments of the presentation.
const assessments = 5

// NewTables makes up students with a result in each assessment; every third student leaves, every tenth result has no score.
func NewTables(folder string, students int) *Tables {
	t := &Tables{Folder: folder}
	for i := range students {
		id := strconv.Itoa(100_000 + i)
		t.Students = append(t.Students, Student{ID: id, Unregisters: i%3 == 0, Credits: 30 * (1 + i%8), Unmapped: "group " + strconv.Itoa(i%12)})
		for a := range assessments {
			r := Mark{Assessment: 1700 + a, Student: id, Score: (i*7 + a*13) % 101, Submitted: (i + 30*a) % 200}
			if (i+a)%10 == 9 {
				r.Score = -1
			}
			t.Results = append(t.Results, r)
		}
	}
	return t
}

// Write writes the tables. Each file is replaced as a whole.
func (t *Tables) Write() error {
	registration := [][]string{{"code_module", "code_presentation", "id_student", "date_registration", "date_unregistration"}}
	student := [][]string{{"code_module", "code_presentation", "id_student", "gender", "region", "highest_education", "imd_band", "age_band", "num_of_prev_attempts", "studied_credits", "disability", "final_result"}}
	for i, s := range t.Students {
		left := ""
		if s.Unregisters {
			left = strconv.Itoa(10 + i%100)
		}
		registration = append(registration, []string{"AAA", "2013J", s.ID, strconv.Itoa(-i % 200), left})
		student = append(student, []string{"AAA", "2013J", s.ID, s.Unmapped, s.Unmapped, s.Unmapped, s.Unmapped, s.Unmapped, s.Unmapped, strconv.Itoa(s.Credits), s.Unmapped, s.Unmapped})
	}
	result := [][]string{{"id_assessment", "id_student", "date_submitted", "is_banked", "score"}}
	for _, r := range t.Results {
		score := ""
		if r.Score >= 0 {
			score = strconv.Itoa(r.Score)
		}
		result = append(result, []string{strconv.Itoa(r.Assessment), r.Student, strconv.Itoa(r.Submitted), "0", score})
	}
	assessment := [][]string{{"code_module", "code_presentation", "id_assessment", "assessment_type", "date", "weight"}}
	for a := range assessments {
		assessment = append(assessment, []string{"AAA", "2013J", strconv.Itoa(1700 + a), "TMA", "19", "20"})
	}
	course := [][]string{{"code_module", "code_presentation", "module_presentation_length"}, {"AAA", "2013J", "268"}}
	for name, rows := range map[string][][]string{
		"student_registration.csv": registration, "student.csv": student, "student_assessment.csv": result, "assessment.csv": assessment, "course.csv": course,
	} {
		if err := t.replace(name, rows); err != nil {
			return err
		}
	}
	return nil
}

func (t *Tables) replace(name string, rows [][]string) error {
	path := filepath.Join(t.Folder, name)
	var b strings.Builder
	w := csv.NewWriter(&b)
	if err := w.WriteAll(rows); err != nil {
		return err
	}
	if err := os.WriteFile(path+".new", []byte(b.String()), 0o644); err != nil {
		return err
	}
	return os.Rename(path+".new", path)
}

// Registrations counts the statements that the registrations make.
func (t *Tables) Registrations() (registered, unregistered int) {
	for _, s := range t.Students {
		if s.Unregisters {
			unregistered++
		}
	}
	return len(t.Students), unregistered
}

// Marks counts what the results make: statements of passing and failing (at 40), and results without a score.
func (t *Tables) Marks() (passed, failed, skipped int) {
	for _, r := range t.Results {
		switch {
		case r.Score < 0:
			skipped++
		case r.Score >= 40:
			passed++
		default:
			failed++
		}
	}
	return passed, failed, skipped
}

// Facts lists what the statements of the results must say, one line each, sorted.
func (t *Tables) Facts() []string {
	var facts []string
	for _, r := range t.Results {
		if r.Score >= 0 {
			facts = append(facts, fmt.Sprintf("oulad-%s %d %d", r.Student, r.Assessment, r.Score))
		}
	}
	slices.Sort(facts)
	return facts
}

// Shuffle gives most results another score, takes some away and gives some students more of them.
func (t *Tables) Shuffle(r *rand.Rand) {
	var kept []Mark
	for _, s := range t.Students {
		for a := range assessments {
			if r.IntN(10) > 0 {
				kept = append(kept, Mark{Assessment: 1700 + a, Student: s.ID, Score: r.IntN(101), Submitted: r.IntN(200)})
			}
		}
	}
	t.Results = kept
}
