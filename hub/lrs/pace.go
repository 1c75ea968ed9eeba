package lrs

import (
	"io"
	"net/http"
	"time"
)

const (
	// patience is how long a body may be silent, and how far behind its pace it may fall.
	patience = 15 * time.Second
	// minPace is how many bytes a second a body must bring on average.
	minPace = 64 << 10
)

// pacedBody is a request's body that may take long as long as it arrives. What it brings earns it time, and never more than patience: whoever has sent much may
// not be silent for longer than others. Only the time in which it is waited for counts, not that in which the hub is busy.
type pacedBody struct {
	body     io.Reader
	control  *http.ResponseController
	patience time.Duration
	left     time.Duration // of patience
	failed   error
}

// paced takes the body of a request, up to a limit in bytes.
func (f *face) paced(w http.ResponseWriter, r *http.Request, limit int64) *pacedBody {
	return &pacedBody{body: http.MaxBytesReader(w, r.Body, limit), control: http.NewResponseController(w), patience: f.patience, left: f.patience}
}

// Read gives os.ErrDeadlineExceeded when the body does not arrive in time, http.MaxBytesError where it is too long.
func (b *pacedBody) Read(p []byte) (int, error) {
	asked := time.Now()
	_ = b.control.SetReadDeadline(asked.Add(b.left)) // not every writer can
	n, err := b.body.Read(p)
	earned := time.Duration(float64(n) / minPace * float64(time.Second))
	b.left = min(b.patience, b.left+earned-time.Since(asked))
	if err != nil && err != io.EOF {
		b.failed = err
	}
	return n, err
}

// arrived ends the time that the body had.
func (b *pacedBody) arrived() { _ = b.control.SetReadDeadline(time.Time{}) }
