// Package pace bounds the time in which the body of a request arrives: it may take long as long as it comes at a pace. Start with New.
package pace

import (
	"io"
	"net/http"
	"time"
)

const (
	// Patience is how long a body may be silent, and how far behind its pace it may fall.
	Patience = 15 * time.Second
	// Least is how many bytes a second a body must bring on average.
	Least = 64 << 10
)

// Body is a request's body that may take long as long as it arrives. What it brings earns it time, and never more than patience: whoever has sent much may
// not be silent for longer than others. Only the time in which it is waited for counts, not that in which the hub is busy.
type Body struct {
	body     io.Reader
	control  *http.ResponseController
	patience time.Duration
	left     time.Duration // of patience
	failed   error
}

// New takes the body of a request, up to a limit in bytes.
func New(w http.ResponseWriter, r *http.Request, limit int64, patience time.Duration) *Body {
	return Of(http.MaxBytesReader(w, r.Body, limit), w, patience)
}

// Of takes a body that w answers.
func Of(body io.Reader, w http.ResponseWriter, patience time.Duration) *Body {
	return &Body{body: body, control: http.NewResponseController(w), patience: patience, left: patience}
}

// Read gives os.ErrDeadlineExceeded when the body does not arrive in time, http.MaxBytesError where it is too long.
func (b *Body) Read(p []byte) (int, error) {
	asked := time.Now()
	_ = b.control.SetReadDeadline(asked.Add(b.left)) // not every writer can
	n, err := b.body.Read(p)
	earned := time.Duration(float64(n) / Least * float64(time.Second))
	b.left = min(b.patience, b.left+earned-time.Since(asked))
	if err != nil && err != io.EOF {
		b.failed = err
	}
	return n, err
}

// Failed is what kept the body from arriving; nil: nothing did.
func (b *Body) Failed() error { return b.failed }

// Arrived ends the time that the body had.
func (b *Body) Arrived() { _ = b.control.SetReadDeadline(time.Time{}) }
