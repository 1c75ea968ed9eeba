// Package wire turns the plain types of plugins/contract into the messages of the protocol and back, for both of its ends:
// descriptions (this file) and failures (failure.go).
package wire

import (
	"github.com/lrshub/lrshub/plugins/contract"
	pb "github.com/lrshub/lrshub/plugins/contract/connectorv1"
)

// FromDescription gives the message.
func FromDescription(d contract.Description) *pb.Description {
	m := &pb.Description{
		Name: d.Name, Version: d.Version, Summary: d.Summary, ConfigSchema: d.ConfigSchema,
		Hosts: d.Hosts, Secrets: d.Secrets, Rate: d.Rate,
	}
	for _, a := range d.Auth {
		m.Auth = append(m.Auth, &pb.Auth{Kind: string(a.Kind), Host: a.Host, Secret: a.Secret, Name: a.Name, Prefix: a.Prefix, TokenUrl: a.TokenURL, Scope: a.Scope})
	}
	for _, s := range d.Streams {
		m.Streams = append(m.Streams, &pb.Stream{
			Name: s.Name, Fields: fromFields(s.Fields), Key: s.Key, Subject: s.Subject, Deletes: string(s.Deletes), Mode: string(s.Mode), Compares: s.Compares,
			Statements: s.Statements, Ranges: s.Ranges,
		})
	}
	for _, a := range d.Abilities {
		m.Abilities = append(m.Abilities, string(a))
	}
	return m
}

// ToDescription gives the plain type; nothing is checked.
func ToDescription(m *pb.Description) contract.Description {
	d := contract.Description{
		Name: m.GetName(), Version: m.GetVersion(), Summary: m.GetSummary(), ConfigSchema: m.GetConfigSchema(),
		Hosts: m.GetHosts(), Secrets: m.GetSecrets(), Rate: m.GetRate(),
	}
	for _, a := range m.GetAuth() {
		d.Auth = append(d.Auth, contract.Auth{
			Kind: contract.AuthKind(a.GetKind()), Host: a.GetHost(), Secret: a.GetSecret(), Name: a.GetName(), Prefix: a.GetPrefix(), TokenURL: a.GetTokenUrl(), Scope: a.GetScope(),
		})
	}
	for _, s := range m.GetStreams() {
		d.Streams = append(d.Streams, contract.Stream{
			Name: s.GetName(), Fields: toFields(s.GetFields()), Key: s.GetKey(), Subject: s.GetSubject(),
			Deletes: contract.Deletes(s.GetDeletes()), Mode: contract.Mode(s.GetMode()), Compares: s.GetCompares(),
			Statements: s.GetStatements(), Ranges: s.GetRanges(),
		})
	}
	for _, a := range m.GetAbilities() {
		d.Abilities = append(d.Abilities, contract.Ability(a))
	}
	return d
}

func fromFields(fields []contract.Field) []*pb.Field {
	var m []*pb.Field
	for _, f := range fields {
		m = append(m, fromField(f))
	}
	return m
}

func fromField(f contract.Field) *pb.Field {
	m := &pb.Field{Name: f.Name, Type: string(f.Type), Fields: fromFields(f.Fields), Optional: f.Optional}
	if f.Elem != nil {
		m.Elem = fromField(*f.Elem)
	}
	return m
}

func toFields(fields []*pb.Field) []contract.Field {
	var plain []contract.Field
	for _, m := range fields {
		plain = append(plain, toField(m))
	}
	return plain
}

func toField(m *pb.Field) contract.Field {
	f := contract.Field{Name: m.GetName(), Type: contract.Type(m.GetType()), Fields: toFields(m.GetFields()), Optional: m.GetOptional()}
	if m.GetElem() != nil {
		elem := toField(m.GetElem())
		f.Elem = &elem
	}
	return f
}
