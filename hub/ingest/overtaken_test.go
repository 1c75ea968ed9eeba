package ingest_test

import (
	"errors"
	"testing"
	"time"

	"github.com/lrshub/lrshub/hub/connection"
	"github.com/lrshub/lrshub/hub/ingest"
	"github.com/lrshub/lrshub/hub/records"
	"github.com/lrshub/lrshub/plugins/contract"
)

// A worker stalls in the middle of a page for so long that another attempt of the same run takes over. When it wakes up, its page must not take back what the
// other one stored since: the record's next change would get the id of a statement that is there already, for ever.
func TestWorkerThatWakesUpTakesNothingBack(t *testing.T) {
	w := newWorld(t)
	s := w.connect(one, "school", head+streamText("change"))
	page := func(score int, cursor string) contract.Page {
		return contract.Page{Records: []contract.Record{attempt(1, "p", score)}, Cursor: []byte(cursor)}
	}
	stalled, wake := make(chan struct{}), make(chan struct{})
	asked := 0
	sleeper := ingest.New(w.db, w.vault, records.NewDictionary(w.db), home, func() time.Time {
		if asked++; asked == 1 { // its records are mapped by now
			close(stalled)
			<-wake
		}
		return time.Now()
	})
	ended := make(chan error)
	go func() {
		_, err := sleeper.Page(t.Context(), s.of("change"), page(10, "one"))
		ended <- err
	}()
	<-stalled
	s.send("change", page(10, "one"))
	s.send("change", page(20, "two"))
	close(wake)
	if err := <-ended; !errors.Is(err, connection.ErrOvertaken) {
		t.Errorf("the page of the worker that woke up: %v, want ErrOvertaken", err)
	}
	s.want(totals{Statements: 3, Voidings: 1, Live: 1})
	s.send("change", page(30, "three"))
	s.want(totals{Statements: 5, Voidings: 2, Live: 1})
}
