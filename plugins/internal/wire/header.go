package wire

import (
	"net/http"

	pb "github.com/lrshub/lrshub/plugins/contract/connectorv1"
)

// FromHeader gives the messages.
func FromHeader(h http.Header) []*pb.Header {
	var m []*pb.Header
	for name, values := range h {
		for _, value := range values {
			m = append(m, &pb.Header{Name: name, Value: value})
		}
	}
	return m
}

// ToHeader gives the header.
func ToHeader(m []*pb.Header) http.Header {
	h := make(http.Header, len(m))
	for _, field := range m {
		h.Add(field.GetName(), field.GetValue())
	}
	return h
}
