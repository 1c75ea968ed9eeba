package contract

// EventKind tells what an Event is.
type EventKind int

const (
	EventRecord EventKind = iota
	EventDelete
	EventBad
	EventCheckpoint
	EventProgress
	EventSnapshotComplete
)

// Event is one thing that a read brings, in the order in which the connector said it. The slices belong to the
// giver: copy what outlives the call.
type Event struct {
	Kind     EventKind
	JSON     []byte // record: the object; delete: the key (see Key); bad: the raw bytes, at most MaxRaw
	Position string // record, bad
	Code     string // bad
	Reason   string // bad
	Cursor   []byte // checkpoint
	Sequence uint64 // checkpoint, as it travels: 1, 2, 3 ...
	Done     int64  // progress
	Total    int64  // progress; 0 unknown
}
