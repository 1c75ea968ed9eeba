package xapi_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/lrshub/lrshub/hub/xapi"
)

func TestNilUUIDIdentifiesNothing(t *testing.T) {
	const nothing = "00000000-0000-0000-0000-000000000000"
	if _, ok := xapi.ParseUUID(nothing); ok {
		t.Error("the nil UUID is taken as an id")
	}
	if _, ok := xapi.ParseUUID("00000000-0000-0000-0000-000000000001"); !ok {
		t.Error("an id of no variant is refused: Data 4.4 requires none")
	}
	for _, member := range []string{`"id":"` + nothing + `"`, `"context":{"registration":"` + nothing + `"}`} {
		text := `{"actor":{"mbox":"mailto:a@example.org"},"verb":{"id":"http://example.org/v"},"object":{"id":"http://example.org/a"},` + member + `}`
		if _, err := xapi.Parse([]byte(text), xapi.V1); err == nil {
			t.Errorf("%s is taken", member)
		}
	}
}

func TestVerbThatNoIndexHasRoomFor(t *testing.T) {
	parse := func(length int) error {
		verb := "http://example.org/" + strings.Repeat("v", length-len("http://example.org/"))
		_, err := xapi.Parse([]byte(`{"actor":{"mbox":"mailto:a@example.org"},"verb":{"id":"`+verb+`"},"object":{"id":"http://example.org/a"}}`), xapi.V1)
		return err
	}
	if err := parse(2048); err != nil {
		t.Error(err)
	}
	if err := parse(2049); !errors.Is(err, xapi.ErrTooLarge) {
		t.Errorf("2049 bytes: %v", err)
	}
}
