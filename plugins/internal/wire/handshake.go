package wire

import (
	"github.com/hashicorp/go-plugin"
)

// Version of the protocol, Name of the one plugin that a connector serves.
const (
	Version = 1
	Name    = "connector"
)

// Handshake tells a connector that it was started by a hub. It is no security measure: AutoMTLS is.
var Handshake = plugin.HandshakeConfig{
	MagicCookieKey:   "LRSHUB_CONNECTOR",
	MagicCookieValue: "lrshub.connector",
}

// Skew is the environment variable by which a host sets a connector's clock forward or back, as a duration; for conformance tests.
const Skew = "LRSHUB_CLOCK_SKEW"
