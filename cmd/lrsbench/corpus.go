package main

import (
	"fmt"
	"math/rand/v2"

	"github.com/google/uuid"

	"github.com/lrshub/lrshub/hub/xapi"
)

// A corpus grows in stages, each to the next size. Beside the scenes of every maker, each stage has members: learners of whom, and courses and quizzes
// of which, there are a hundred statements, spread over the stage. And in all stages together there are, of a hundred statements, ten of one quiz in one
// course, and one of a learner who never stops. So at each size there is something to ask for that is rare, and something that grows with the size.

// stage is one stage of a corpus. The same stage is made up of the same statements, batch by batch.
type stage struct {
	number     int
	statements int
	batch      int
}

// ofMember is how many statements a member has, fewSize how many the client wrote that wrote first and never again.
const (
	ofMember = 100
	fewSize  = 500
)

// Of a hundred statements, so many are of the frequent quiz, of the frequent learner; of ten batches, so many are of the writer that reads its own, and of
// the writer with another purpose.
const (
	ofFrequentQuiz, ofFrequentLearner = 10, 1
	ofMine, ofOther                   = 1, 1
)

func (s stage) batches() int { return (s.statements + s.batch - 1) / s.batch }

// members is how many there are: fewer in a small stage, so that most statements are of others.
func (s stage) members() int { return min(max(s.statements/(5*ofMember), 1), 20) }

// writers of a corpus, by name.
const (
	writesMost  = "most"
	writesMine  = "mine"
	writesOther = "other"
	writesFew   = "few"
)

// random gives a batch its own chances, so that batches may be made in any order.
func (s stage) random(batch int) *rand.Rand {
	return rand.New(rand.NewPCG(uint64(s.number)<<32|uint64(batch), 29))
}

// writer says which client writes a batch: the first of all is the few's.
func (s stage) writer(batch int) string {
	if s.number == 0 && batch < max(fewSize/s.batch, 1) {
		return writesFew
	}
	switch n := s.random(batch).IntN(10); {
	case n < ofMine:
		return writesMine
	case n < ofMine+ofOther:
		return writesOther
	}
	return writesMost
}

// make makes up a batch, read and checked.
func (s stage) make(batch int) ([]*xapi.Statement, error) {
	m := newMaker(uint64(s.number)<<32 | uint64(batch))
	first := batch * s.batch
	n := min(s.batch, s.statements-first)
	every, body := s.statements/(s.members()*ofMember), []byte{'['}
	for i := range n {
		scene := s.scene(m)
		if at := first + i; at%every == 0 && at/every < s.members()*ofMember {
			scene = s.memberScene(m, at/every%s.members(), at/every/s.members())
		}
		if i > 0 {
			body = append(body, ',')
		}
		body = append(body, m.write(scene)...)
	}
	return xapi.ParseBatch(append(body, ']'), xapi.V1, n)
}

func (s stage) scene(m *maker) scene {
	scene := m.scene()
	switch n := m.random.IntN(100); {
	case n < ofFrequentQuiz:
		scene.quiz, scene.parent = frequentQuiz, frequentCourse
	case n < ofFrequentQuiz+ofFrequentLearner:
		scene.actor, scene.instructor, scene.registration = frequentLearner, frequentInstructor, registrationOf(frequentLearner)
		scene.quiz = frequentLearnersQuiz
	}
	return scene
}

const (
	frequentCourse       = "https://lms.example/course/frequent"
	frequentQuiz         = frequentCourse + "/quiz"
	frequentLearnersQuiz = "https://lms.example/exercise"
	frequentLearner      = `{"objectType":"Agent","account":{"homePage":"https://sis.example","name":"frequent"}}`
	frequentInstructor   = `{"objectType":"Agent","account":{"homePage":"https://sis.example","name":"frequent-instructor"}}`
)

func registrationOf(name string) uuid.UUID { return uuid.NewSHA1(uuid.NameSpaceURL, []byte(name)) }

// member is one of a stage, of whom, and of whose quiz, there are a hundred statements.
type member struct {
	actor, instructor string // JSON
	course, quiz      string
}

func (s stage) member(n int) member {
	agent := func(kind string) string {
		return fmt.Sprintf(`{"objectType":"Agent","account":{"homePage":"https://sis.example","name":"%s-%d-%d"}}`, kind, s.number, n)
	}
	course := fmt.Sprintf("https://lms.example/course/stage-%d/%d", s.number, n)
	return member{actor: agent("member"), instructor: agent("tutor"), course: course, quiz: course + "/quiz"}
}

// rareVerb is what members do now and then: a hundred times in a stage that has twenty of them.
func (s stage) rareVerb() string { return fmt.Sprint("attempted-", s.number) }

// ofRareVerb is how many statements of each member have the rare verb.
const ofRareVerb = 5

func (s stage) memberScene(m *maker, n, at int) scene {
	who := s.member(n)
	scene := m.scene()
	scene.actor, scene.instructor, scene.quiz, scene.parent = who.actor, who.instructor, who.quiz, who.course
	scene.registration = registrationOf(who.actor)
	if at%(ofMember/ofRareVerb) == 0 {
		scene.verb = s.rareVerb()
	}
	return scene
}
