package disclose_test

import (
	"encoding/json"
	"errors"
	"testing"

	"github.com/google/uuid"

	"github.com/lrshub/lrshub/hub/access"
	"github.com/lrshub/lrshub/hub/records"
	"github.com/lrshub/lrshub/hub/xapi"
)

// Whoever may read no statement of somebody learns nothing that it did not say: not the mailbox of a hash, no other identifier, no name.
func TestPersonOfAnotherPurpose(t *testing.T) {
	w := newWorld(t)
	w.post(writer, `{"actor":{"mbox":"mailto:ann@example.org","name":"Ann"},"verb":{"id":"https://v.example/v"},"object":{"id":"https://a.example/a"}}`)
	hash, _ := agent("ann").Identifier.MboxSHA1()
	person := func(c access.Caller, of xapi.Identifier) string {
		t.Helper()
		p, err := w.out.Person(t.Context(), c, xapi.Agent{Identifier: of})
		if err != nil {
			t.Fatal(err)
		}
		text, _ := json.Marshal(p)
		return string(text)
	}
	whole := `{"objectType":"Person","name":["Ann"],"mbox":["mailto:ann@example.org"],"mbox_sha1sum":["` + hash.Value + `"]}`
	if got := person(reader, hash); got != whole {
		t.Errorf("to whoever may read her statement she is %s", got)
	}
	other := client(one, 20, "all")
	other.Purpose = "accreditation"
	for _, c := range []access.Caller{other, client(two, 21, "all")} {
		if got := person(c, hash); got != `{"objectType":"Person","mbox_sha1sum":["`+hash.Value+`"]}` {
			t.Errorf("by her hash: %s", got)
		}
		unknown, _ := agent("zoe").Identifier.MboxSHA1()
		if got := person(c, unknown); got != `{"objectType":"Person","mbox_sha1sum":["`+unknown.Value+`"]}` {
			t.Errorf("by nobody's hash: %s", got)
		}
	}
}

// An id that stands for another purpose is taken, whatever the content: an acknowledged statement must be there for whoever reads for its purpose.
func TestIDOfAnotherPurpose(t *testing.T) {
	w := newWorld(t)
	id := uuid.NewString()
	text := said("ann", "tried", "a", `,"id":"`+id+`"`)
	w.post(writer, text)
	other := client(one, 22, "statements/write")
	other.Purpose = "accreditation"
	for _, c := range []string{text, said("bob", "tried", "a", `,"id":"`+id+`"`)} {
		batch, err := xapi.ParseBatch([]byte(c), xapi.V2, 1)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := w.in.Statements(t.Context(), other, false, batch); !errors.Is(err, records.ErrConflict) {
			t.Errorf("%v", err)
		}
	}
}
