// Package connectorv1 is the connector protocol, version 1, as gRPC: generated from connector.proto, which is the place to read.
package connectorv1

//go:generate protoc --proto_path=. --go_out=. --go_opt=paths=source_relative --go-grpc_out=. --go-grpc_opt=paths=source_relative connector.proto
