package main

import (
	"fmt"
	"math/rand/v2"
	"strings"
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
)

// maker makes up statements. The same seed gives the same statements.
type maker struct {
	random *rand.Rand
	clock  time.Time
}

func newMaker(seed uint64) *maker {
	return &maker{random: rand.New(rand.NewPCG(seed, 17)), clock: time.Date(2026, 9, 1, 8, 0, 0, 0, time.UTC)}
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

func (m *maker) learner() string {
	n := m.random.IntN(learners)
	if n%10 < byMailbox {
		return fmt.Sprintf(`{"objectType":"Agent","name":"Learner %d","mbox":"mailto:learner-%d@students.example"}`, n, n)
	}
	return fmt.Sprintf(`{"objectType":"Agent","name":"Learner %d","account":{"homePage":"https://sis.example","name":"u%06d"}}`, n, n)
}

// statement makes up one statement.
func (m *maker) statement() []byte {
	quiz := m.random.IntN(activities)
	score := m.random.IntN(101)
	verb := "failed"
	if score >= 40 {
		verb = "passed"
	}
	m.clock = m.clock.Add(time.Duration(m.random.IntN(2000)) * time.Millisecond)
	var b strings.Builder
	fmt.Fprintf(&b, `{"id":"%s","actor":%s,"verb":{"id":"http://adlnet.gov/expapi/verbs/%s","display":{"en":"%s"}},`, m.uuid(), m.learner(), verb, verb)
	fmt.Fprintf(&b, `"object":{"objectType":"Activity","id":"https://lms.example/course/%d/quiz/%d","definition":{"type":"http://adlnet.gov/expapi/activities/assessment","name":{"en":"Quiz %d"}}},`,
		quiz/10, quiz, quiz)
	fmt.Fprintf(&b, `"result":{"score":{"scaled":%.2f,"raw":%d,"min":0,"max":100},"success":%t,"completion":true,"duration":"PT%dM%dS"},`,
		float64(score)/100, score, score >= 40, m.random.IntN(60), m.random.IntN(60))
	fmt.Fprintf(&b, `"context":{"registration":"%s","platform":"Example Learning Platform"`, m.uuid())
	if m.oneOf(withParent) {
		fmt.Fprintf(&b, `,"contextActivities":{"parent":[{"id":"https://lms.example/course/%d","objectType":"Activity"}]}`, quiz/10)
	}
	if m.oneOf(withInstructor) {
		fmt.Fprintf(&b, `,"instructor":{"objectType":"Agent","account":{"homePage":"https://sis.example","name":"i%04d"}}`, m.random.IntN(instructors))
	}
	fmt.Fprintf(&b, `},"timestamp":"%s"}`, m.clock.Format("2006-01-02T15:04:05.000Z"))
	return []byte(b.String())
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
