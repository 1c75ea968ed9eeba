package main

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/google/uuid"

	"github.com/lrshub/lrshub/hub/xapi"
)

// What is made up: statements of 600 to 800 bytes about quizzes, most with a result, all with a registration.
const (
	learners    = 30_000
	instructors = 300
	activities  = 200
	// Of ten statements, so many are of a learner known by mailbox (else by account), name a course as parent, an instructor.
	byMailbox, withParent, withInstructor = 3, 6, 2
	// passMark is the score from which on a quiz is passed.
	passMark = 40
)

// maker makes up statements. The same seed gives the same statements.
type maker struct {
	random   *rand.Rand
	clock    time.Time
	learners int
}

func newMaker(seed uint64) *maker {
	return &maker{random: rand.New(rand.NewPCG(seed, 17)), clock: time.Date(2026, 9, 1, 8, 0, 0, 0, time.UTC), learners: learners}
}

func (m *maker) uuid() uuid.UUID {
	var id uuid.UUID
	for i := range id {
		id[i] = byte(m.random.Uint32())
	}
	id[6], id[8] = id[6]&0x0f|0x40, id[8]&0x3f|0x80
	return id
}

func (m *maker) oneOf(tenth int) bool { return m.random.IntN(10) < tenth }

func (m *maker) learner() string { return learner(m.random.IntN(m.learners)) }

func learner(n int) string {
	if n%10 < byMailbox {
		return fmt.Sprintf(`{"objectType":"Agent","name":"Learner %d","mbox":"mailto:learner-%d@students.example"}`, n, n)
	}
	return fmt.Sprintf(`{"objectType":"Agent","name":"Learner %d","account":{"homePage":"https://sis.example","name":"u%06d"}}`, n, n)
}

func instructor(n int) string {
	return fmt.Sprintf(`{"objectType":"Agent","account":{"homePage":"https://sis.example","name":"i%04d"}}`, n)
}

func courseIRI(quiz int) string { return fmt.Sprintf("https://lms.example/course/%d", quiz/10) }

func quizIRI(quiz int) string { return fmt.Sprintf("%s/quiz/%d", courseIRI(quiz), quiz) }

func verbIRI(name string) string { return "http://adlnet.gov/expapi/verbs/" + name }

// scene is what a statement is about. Agents are JSON; instructor and parent may be empty.
type scene struct {
	actor, instructor string
	verb              string // the end of its IRI
	quiz, title       string
	parent            string
	registration      uuid.UUID
	score             int
}

// scene makes up what a statement is about.
func (m *maker) scene() scene {
	quiz := m.random.IntN(activities)
	s := scene{actor: m.learner(), verb: "failed", quiz: quizIRI(quiz), title: fmt.Sprint("Quiz ", quiz), registration: m.uuid(), score: m.random.IntN(101)}
	if s.score >= passMark {
		s.verb = "passed"
	}
	if m.oneOf(withParent) {
		s.parent = courseIRI(quiz)
	}
	if m.oneOf(withInstructor) {
		s.instructor = instructor(m.random.IntN(instructors))
	}
	return s
}

// statement makes up one statement.
func (m *maker) statement() []byte { return m.write(m.scene()) }

func (m *maker) write(s scene) []byte {
	m.clock = m.clock.Add(time.Duration(m.random.IntN(2000)) * time.Millisecond)
	var b bytes.Buffer
	fmt.Fprintf(&b, `{"id":"%s","actor":%s,"verb":{"id":"%s","display":{"en":"%s"}},`, m.uuid(), s.actor, verbIRI(s.verb), s.verb)
	fmt.Fprintf(&b, `"object":{"objectType":"Activity","id":"%s","definition":{"type":"http://adlnet.gov/expapi/activities/assessment","name":{"en":"%s"}}},`, s.quiz, s.title)
	fmt.Fprintf(&b, `"result":{"score":{"scaled":%.2f,"raw":%d,"min":0,"max":100},"success":%t,"completion":true,"duration":"PT%dM%dS"},`,
		float64(s.score)/100, s.score, s.score >= passMark, m.random.IntN(60), m.random.IntN(60))
	fmt.Fprintf(&b, `"context":{"registration":"%s","platform":"Example Learning Platform"`, s.registration)
	if s.parent != "" {
		fmt.Fprintf(&b, `,"contextActivities":{"parent":[{"id":"%s","objectType":"Activity"}]}`, s.parent)
	}
	if s.instructor != "" {
		fmt.Fprintf(&b, `,"instructor":%s`, s.instructor)
	}
	fmt.Fprintf(&b, `},"timestamp":"%s"}`, m.clock.Format("2006-01-02T15:04:05.000Z"))
	return b.Bytes()
}

// body makes the body of a POST with n statements.
func (m *maker) body(n int) []byte {
	body := []byte{'['}
	for i := range n {
		if i > 0 {
			body = append(body, ',')
		}
		body = append(body, m.statement()...)
	}
	return append(body, ']')
}

// parsed makes n statements, read and checked.
func (m *maker) parsed(n int) ([]*xapi.Statement, error) {
	return xapi.ParseBatch(m.body(n), xapi.V1, n)
}
