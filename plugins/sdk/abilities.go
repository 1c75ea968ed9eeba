package sdk

import (
	"context"
	"net/http"
	"time"

	"github.com/lrshub/lrshub/plugins/contract"
)

// Planner cuts a stream into partitions that are read apart, each with its own small cursor.
type Planner interface {
	Plan(ctx context.Context, s *Session, r Request) ([]Partition, error)
}

// Partition is one part of a stream. ID is stable from run to run and holds no personal data.
type Partition struct {
	ID            string
	EstimatedRows int64 // 0: unknown
}

// Committer is told once everything up to a cursor is stored for good: the only place to acknowledge or prune at the source.
// It may be told the same cursor twice.
type Committer interface {
	Commit(ctx context.Context, s *Session, stream, partition string, cursor []byte) error
}

// Receiver takes what the source pushes to the hub. It verifies the push's signature itself (Signature, CheckBearer) and emits the records it holds. A push
// is given to it once for each stream that the connection's mapping reads, in the order of reading; it emits those of Push.Stream. A push that it cannot take
// is an *Error: of class auth where the signature is not good, of class data where the content is not.
type Receiver interface {
	Receive(ctx context.Context, s *Session, p Push, out *Output) (Reply, error)
}

// Push is one HTTP request that came to the connection's hook.
type Push struct {
	Stream   string // the stream its records will belong to
	Method   string // of the HTTP request, or contract.MethodEnter
	Header   http.Header
	Body     []byte
	Received time.Time
}

// Reply is what the pushing system is answered, once all is stored.
type Reply struct {
	Status int // 0: 200
	Header http.Header
	Body   []byte
	// Delivery is what names the delivery, should the source send it again: an id that its signature covers. A delivery that was taken within a day is
	// answered as before, and stores nothing. "": the body names it.
	Delivery string
}

// SubjectFinder brings the records that the source holds about one person.
type SubjectFinder interface {
	FindSubject(ctx context.Context, s *Session, stream, subject string, out *Output) error
}

// SubjectEraser asks the source to erase one person.
type SubjectEraser interface {
	EraseSubject(ctx context.Context, s *Session, subject string) (Erasure, error)
}

// Erasure says what an erasure at the source did.
type Erasure struct {
	Erased int64  // records erased
	Kept   int64  // records the source keeps
	Reason string // why it keeps them; no personal data
}

// Abilities lists the optional interfaces that c has.
func Abilities(c Connector) []Ability {
	var a []Ability
	if _, ok := c.(Planner); ok {
		a = append(a, contract.AbilityPlan)
	}
	if _, ok := c.(Committer); ok {
		a = append(a, contract.AbilityCommit)
	}
	if _, ok := c.(Receiver); ok {
		a = append(a, contract.AbilityReceive)
	}
	if _, ok := c.(SubjectFinder); ok {
		a = append(a, contract.AbilityFindSubject)
	}
	if _, ok := c.(SubjectEraser); ok {
		a = append(a, contract.AbilityEraseSubject)
	}
	return a
}
