package xapi

import (
	"time"

	"github.com/google/uuid"
)

// Limits bound what a parser accepts, so that no input can cost more than it is worth.
type Limits struct {
	MaxBytes  int // of one statement's JSON
	MaxDepth  int // nesting of objects and arrays, the statement itself being 1
	MaxAgents int // agents and groups in one statement, members included

	MaxActivities int // in one statement
	MaxTogether   int // agents, groups and activities in one batch: each of them may be new, and costs a store much more than the bytes that name it
}

// DefaultLimits are the limits of Parse and ParseBatch.
var DefaultLimits = Limits{MaxBytes: 1 << 20, MaxDepth: 64, MaxAgents: 10_000, MaxActivities: 10_000, MaxTogether: 50_000}

// Span is a half-open range of bytes in Statement.Raw. The zero Span means "not there".
type Span struct{ Start, End int }

// IsZero says whether the span marks nothing.
func (s Span) IsZero() bool { return s == Span{} }

// Statement is a valid statement and what a store needs to know of it. Its strings share one copy of the
// JSON: clone the few that are kept longer than the statement (Verb is a copy of its own already).
type Statement struct {
	Raw     []byte  // the statement's JSON object, no white space around it; not a copy: do not change it
	Version Version // the edition it was validated against

	ID    uuid.UUID // the nil UUID unless HasID
	HasID bool

	Verb           string // IRI
	Object         ObjectKind
	ObjectActivity string    // the activity's IRI; "" unless Object is ObjectActivity
	Ref            uuid.UUID // the target; the nil UUID unless Object is ObjectStatementRef
	Voiding        bool      // the verb is VerbVoided; Ref is what it voids

	Timestamp time.Time // UTC; zero if absent
	Stored    time.Time // UTC; zero if absent. What the sender claims: a store sets its own

	Result          Result
	Registration    uuid.UUID // the nil UUID unless HasRegistration
	HasRegistration bool
	VersionText     string // the statement's own "version"; "" if absent

	Agents      []Occurrence  // every agent and group, in document order, groups before their members
	Activities  []ActivityUse // every activity, in document order
	Attachments []Attachment  // in document order

	// Spans of top-level properties from the opening quote of the name to the end of the value.
	Authority                                      Span
	IDSpan, StoredSpan, TimestampSpan, VersionSpan Span
}

// VerbVoided is the reserved verb by which one statement voids another (Data 2.3.2, IEEE 4.2.5).
const VerbVoided = "http://adlnet.gov/expapi/verbs/voided"

// ObjectKind says what the object of a statement is. The numbers are stored; never renumber.
type ObjectKind uint8

const (
	ObjectActivity     ObjectKind = 1
	ObjectAgent        ObjectKind = 2
	ObjectGroup        ObjectKind = 3
	ObjectStatementRef ObjectKind = 4
	ObjectSubStatement ObjectKind = 5
)

// String gives the objectType as xAPI writes it.
func (k ObjectKind) String() string {
	switch k {
	case ObjectActivity:
		return "Activity"
	case ObjectAgent:
		return "Agent"
	case ObjectGroup:
		return "Group"
	case ObjectStatementRef:
		return "StatementRef"
	case ObjectSubStatement:
		return "SubStatement"
	}
	return "unknown"
}

// Result is the outcome of a statement (Data 2.4.5); nil and "" mean absent. A sub-statement's result is
// validated and not collected.
type Result struct {
	ScoreScaled, ScoreRaw, ScoreMin, ScoreMax *float64
	Success, Completion                       *bool
	Duration                                  string // ISO 8601 as sent; ParseDuration reads it
}

// Role is the place in which an agent or group stands. The numbers are stored; never renumber.
type Role uint8

const (
	RoleActor        Role = 1
	RoleObject       Role = 2
	RoleInstructor   Role = 3
	RoleTeam         Role = 4
	RoleAuthority    Role = 5
	RoleContextAgent Role = 6 // 2.0: context.contextAgents[].agent
	RoleContextGroup Role = 7 // 2.0: context.contextGroups[].group
	RoleMember       Role = 8 // member of the group at Occurrence.Parent
)

// String names the role as its property is called.
func (r Role) String() string {
	switch r {
	case RoleActor:
		return "actor"
	case RoleObject:
		return "object"
	case RoleInstructor:
		return "instructor"
	case RoleTeam:
		return "team"
	case RoleAuthority:
		return "authority"
	case RoleContextAgent:
		return "contextAgent"
	case RoleContextGroup:
		return "contextGroup"
	case RoleMember:
		return "member"
	}
	return "unknown"
}

// Occurrence is one agent or group at one place of a statement.
type Occurrence struct {
	Role       Role
	Agent      Agent
	Start, End int  // of its JSON object in Statement.Raw
	Parent     int  // index in Statement.Agents of the group it is a member of, or -1
	Sub        bool // inside the sub-statement
}

// ActivityRole is the place in which an activity stands. The numbers are stored; never renumber.
type ActivityRole uint8

const (
	ActivityObject   ActivityRole = 1
	ActivityParent   ActivityRole = 2
	ActivityGrouping ActivityRole = 3
	ActivityCategory ActivityRole = 4
	ActivityOther    ActivityRole = 5
)

// String names the role as its property is called.
func (r ActivityRole) String() string {
	switch r {
	case ActivityObject:
		return "object"
	case ActivityParent:
		return "parent"
	case ActivityGrouping:
		return "grouping"
	case ActivityCategory:
		return "category"
	case ActivityOther:
		return "other"
	}
	return "unknown"
}

// ActivityUse is one activity at one place of a statement.
type ActivityUse struct {
	Role             ActivityRole
	ID               string // IRI
	Sub              bool   // inside the sub-statement
	DefStart, DefEnd int    // of the definition's JSON object in Statement.Raw; 0, 0 if it has none
}

// Attachment is what a statement says of one attachment (Data 2.4.11); its bytes travel beside it.
type Attachment struct {
	SHA2        string // as sent
	FileURL     string // "" if absent
	ContentType string
	Length      int64 // octets
	UsageType   string
	Sub         bool // inside the sub-statement
}
