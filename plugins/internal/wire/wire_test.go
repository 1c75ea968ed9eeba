package wire

import (
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/lrshub/lrshub/plugins/contract"
)

func TestDescription(t *testing.T) {
	want := contract.Description{
		Name: "n", Version: "v", Summary: "s", ConfigSchema: "{}", Hosts: []string{"h"}, Secrets: []string{"x"}, Rate: 1.5,
		Auth: []contract.Auth{{Kind: "header", Host: "h", Secret: "x", Name: "N", Prefix: "p"}},
		Streams: []contract.Stream{{
			Name: "s", Key: []string{"a"}, Subject: "a", Deletes: "absence", Mode: "snapshot", Compares: true, Statements: true,
			Fields: []contract.Field{
				{Name: "a", Type: "int", Optional: true},
				{Name: "o", Type: "object", Fields: []contract.Field{{Name: "l", Type: "list", Elem: &contract.Field{Type: "map", Elem: &contract.Field{Type: "any"}}}}},
			},
		}},
		Abilities: []contract.Ability{"plan"},
	}
	if got := ToDescription(FromDescription(want)); !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
}

func TestFailure(t *testing.T) {
	for _, class := range []contract.Class{"config", "auth", "permission", "rate_limit", "transient", "source_bug", "data", "cursor_expired", "unsupported"} {
		err := Status(&contract.Error{Class: class, Message: "m", RetryAfter: 90 * time.Second, Err: errors.New("stays")})
		if status.Code(err) == codes.OK || status.Code(err) == codes.Canceled {
			t.Errorf("%s has code %s", class, status.Code(err))
		}
		got := Failure(fmt.Errorf("wrapped: %w", err))
		if got == nil || got.Class != class || got.Message != "m" || got.RetryAfter != 90*time.Second || got.Err != nil {
			t.Errorf("%s came back as %+v", class, got)
		}
	}
	if got := Failure(Status(&contract.Error{Class: "new", Message: strings.Repeat("é\xff", 5000)})); got.Class != contract.ClassSourceBug || len(got.Message) > 2*contract.MaxMessage {
		t.Errorf("an unknown class: %s, %d bytes", got.Class, len(got.Message))
	}
	if got := Failure(status.Error(codes.Unavailable, "gone")); got != nil {
		t.Errorf("a status without details: %v", got)
	}
	if got := Failure(errors.New("other")); got != nil {
		t.Errorf("another error: %v", got)
	}
}
