package host

import "errors"

// What can go wrong with a connector as a process. A failure that the connector itself reports is an *sdk.Error instead.
// Every error says which connector, during what, and what to do.
var (
	// ErrUnknown: there is no such connector, or its file cannot be started.
	ErrUnknown = errors.New("the connector cannot be started")
	// ErrChecksum: the file is not the one that was pinned, or none was pinned.
	ErrChecksum = errors.New("the connector's checksum is wrong")
	// ErrNoNamespace: the kernel or a container forbids to cut the connector off from the network.
	ErrNoNamespace = errors.New("connectors cannot be isolated here")
	// ErrHandshake: the program does not speak the connector protocol.
	ErrHandshake = errors.New("the program does not answer as a connector")
	// ErrTimeout: the connector did not start, answer or go on in time.
	ErrTimeout = errors.New("the connector does not answer")
	// ErrDied: the connector's process ended in the middle of a call.
	ErrDied = errors.New("the connector died")
	// ErrProtocol: the connector broke the protocol: wrong frames, frames above 1 MiB, a stream cut off.
	ErrProtocol = errors.New("the connector broke the protocol")
	// ErrPage: the connector brought more between two checkpoints than a page may hold.
	ErrPage = errors.New("the connector's page is too large")
	// ErrClosed: the process was closed by the hub.
	ErrClosed = errors.New("the connector was closed")
)
