package audit

// Kinds of event, each with the fields that its writer gives. A new kind is added here, so that this file is the
// list of all that the log can tell. Form: room or thing, a dot, what happened to it.
const (
	// IngestPage: a page of a source was stored. Actor: the run. Fields: connection, records, stored, voided, dead, position and digest
	// (of the statements that were stored).
	IngestPage = "ingest.page"
	// IngestPush: what a source pushed to its connection was stored. Actor: the delivery. Fields: as of IngestPage.
	IngestPush = "ingest.push"
	// RecordsEntered: somebody entered records that no system holds. Actor: the client. Fields: connection, delivery (that an IngestPush names), records.
	RecordsEntered = "records.entered"
	// PushRefused: a delivery was refused. Actor: the connection. Fields: connection, reason (a code), status.
	PushRefused = "push.refused"
	// ProvisionedRead: an identity provider read back what it had put here. Actor: the client, or the connection by its own token. Subjects: those shown. Fields:
	// connection, resources.
	ProvisionedRead = "provisioned.read"
	// IngestStatements: statements came through xAPI, in one request of the client or in several at once. Fields: statements, imported (with authority and stored of another store), stored, position and digest as of
	// IngestPage.
	IngestStatements = "ingest.statements"
	// IngestRefused: a write was refused. Fields: action, reason (a code).
	IngestRefused = "ingest.refused"
	// StatementRead: statements were shown. Subjects: those shown. Fields: form, statements, grants, policy; attachments (a count) where they were asked for.
	// Of numbers alone there are no statements, but counted (how many) or registrations (how many of the subject); the subject is the one that was asked about, if any.
	StatementRead = "statement.read"
	// StatementRefused: a read was refused. Fields: action, reason (a code), policy.
	StatementRefused = "statement.refused"
	// StatementExport: an export opened. Fields: export, form, grants, policy.
	StatementExport = "statement.export"
	// StatementExported: an export ended or broke off; a StatementRead for each batch tells whose statements it had. Fields: export, statements,
	// complete.
	StatementExported = "statement.exported"

	// DocumentStored and DocumentDeleted: state and profile documents. Subjects: whose they are, if anybody's. Fields: resource; of one stored size (bytes)
	// and replaced; of those deleted documents (a count).
	DocumentStored  = "document.stored"
	DocumentDeleted = "document.deleted"
	// DocumentRead: documents, or their ids, were shown. Subjects: whose they are. Fields: resource, documents, content (false: ids only), grants, policy.
	DocumentRead = "document.read"
	// AgentRead: a Person object was shown. Subjects: those of the person. Fields: identifiers, names (counts), grants, policy.
	AgentRead = "agent.read"
	// ActivityRead: an activity of the catalogue was shown. Fields: grants, policy.
	ActivityRead = "activity.read"

	// ClientCreated, ClientChanged and ClientRevoked: a client. Fields: client, scopes; networks (from which it may come; none: from anywhere)
	// unless it is revoked; jwt when it is made, expires when it is changed.
	ClientCreated = "client.created"
	ClientChanged = "client.changed"
	ClientRevoked = "client.revoked"
	// ClientRotated: a client got another key. Fields: client, until (its earlier keys are good).
	ClientRotated = "client.rotated"
	// AuthRefused: a request without a valid credential. Fields: reason (a code).
	AuthRefused = "auth.refused"

	// Connections. Fields: connection, connector, mapping (a version); checksum where the program that it is pinned to changed; links (kinds of claim) of one that is added and may link.
	ConnectionAdded   = "connection.added"
	ConnectionChanged = "connection.changed"
	ConnectionPaused  = "connection.paused"
	ConnectionResumed = "connection.resumed"
	ConnectionRemoved = "connection.removed"
	// ManagementRefused: an operation of the management API was refused. Fields: action, resource, reason (a code).
	ManagementRefused = "management.refused"
	// MappingCompared: somebody asked what a mapping of theirs would make of the stored records, in numbers. Fields: connection, digest.
	MappingCompared = "mapping.compared"
	// MappingApplied: a mapping version took effect. Fields: connection, mapping, digest.
	MappingApplied = "mapping.applied"
	// SyncStarted and SyncEnded: a run. Fields: connection, run, full; at the end also stored, dead, outcome.
	SyncStarted = "sync.started"
	SyncEnded   = "sync.ended"

	// Tenants and purposes. Fields: tenant or purpose.
	TenantAdded  = "tenant.added"
	PurposeAdded = "purpose.added"

	// PersonLinked: evidence made subjects one person, or took that back. Subjects: those whose person is another now. Fields: linked and ended (links),
	// reviews (opened).
	PersonLinked = "person.linked"
	// PersonDecided: somebody decided who is one person. Subjects: those that it is about. Fields: decision (link, split, same, different); review, if there is one.
	PersonDecided = "person.decided"
	// PersonRead: somebody was shown who a person is. Subjects: those shown. Fields: facts, links (counts), grants, policy.
	PersonRead = "person.read"
	// ReviewRead: the list of what is to be decided was shown. Subjects: those in it. Fields: reviews, grants, policy.
	ReviewRead = "person.review.read"
	// RuleSet: on what a connection's records may link. Fields: connection, kinds.
	RuleSet = "person.rule"

	// GrantAdded and GrantRemoved: an access grant. Fields: grant.
	GrantAdded   = "grant.added"
	GrantRemoved = "grant.removed"

	// AuditRead, AuditVerified and AuditExported: the log itself was read. Fields: events, size.
	AuditRead     = "audit.read"
	AuditVerified = "audit.verified"
	AuditExported = "audit.exported"
	// AuditRestarted: the log goes on after a restore from a backup older than its anchor. Fields: size (up to which the log
	// agrees with the anchor), anchored (events that the anchor knew), head (events in the log when it went on).
	AuditRestarted = "audit.restarted"
)
