package contract

// Page is what a connector gave between two checkpoints, pruned: it is stored whole, with its cursor, or not at all.
type Page struct {
	Records          []Record
	Bad              []Bad
	Cursor           []byte // where to go on from; nil where the page has none
	Done, Total      int64  // progress in the connector's own units; Total 0: unknown
	SnapshotComplete bool   // records not seen since the snapshot's start are gone from the source
}

// Record is one record of a source.
type Record struct {
	Key      []byte // Key of its key fields, taken before pruning
	Subject  string // value of the stream's subject field as text, taken before pruning; "" where it has none
	JSON     []byte // pruned to the fields that the mapping names; nil when Deleted
	Position string // where in the source (file and line, offset); holds no value of a record
	Deleted  bool   // a tombstone
}

// Bad is something that cannot be read as a record.
type Bad struct {
	Code     string // bad_record, too_large, ...
	Position string // as in Record
	Reason   string // what is wrong and what to do; holds no value of a record
	Key      []byte // if it could be read
	Raw      []byte // as found; nil where too large to keep
}
