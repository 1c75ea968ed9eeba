// Package audit is the append-only log of what happened to the records: who read what, what came in, what was
// refused. It answers "who looked at me" and proves that no line was altered afterwards.
//
// An event is written by Record in the transaction it tells of. Its canonical bytes (see Event) are hashed at once and
// never written anew. A Sequencer gives events leaves in the tenant's RFC 6962 Merkle tree and signs checkpoints of
// it (C2SP tlog-checkpoint) with a key that Postgres never sees; each checkpoint is appended to an anchor file outside
// Postgres before it is stored beside the log. Whoever holds the anchor and the verifier key can show with Verify
// that the log is whole, online or from an Export, and with Prove and VerifyProof that one event stands in it.
//
// Events hold no personal data: ids, counts, digests and short enumerations only (Event says what the guard refuses). A
// detail that may have to be erased goes in as a commitment (Commit), whose opening the vault seals under the
// subject's key: erasing the key leaves every proof valid and reveals nothing.
//
// What the log does not prove: an event that a database owner deletes, together with its pending row, before the
// sequencer has seen it (about a second after the commit) leaves no trace; nor do events that nobody recorded.
//
// Start reading at event.go (the format), then record.go, sequencer.go, verify.go. Messages count events from 1,
// as people do; leaf indexes count from 0, as RFC 6962 does.
package audit
