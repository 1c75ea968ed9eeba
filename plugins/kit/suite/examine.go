package suite

import (
	"context"
	"fmt"
	"time"
)

// Outcome is how a check ended.
type Outcome string

const (
	Passed  Outcome = "passed"
	Failed  Outcome = "failed"
	Skipped Outcome = "skipped" // it does not apply; Why says why
)

// Result is what a check found.
type Result struct {
	Check   string   `json:"check"`
	Stream  string   `json:"stream,omitempty"`
	Outcome Outcome  `json:"outcome"`
	Why     []string `json:"why,omitempty"` // what is wrong and what to do; or why the check does not apply
	Millis  int64    `json:"ms"`
}

// Examine runs the whole suite outside of a test and tells each result as it comes. It gives false if a check failed. When ctx ends it stops after
// the check that runs.
func Examine(ctx context.Context, s Subject, tell func(Result)) bool {
	suite := Open(s)
	defer suite.Close()
	good := true
	run := func(checks []Check) {
		for _, c := range checks {
			if ctx.Err() != nil {
				good = false
				return
			}
			r := examine(ctx, c)
			good = good && r.Outcome != Failed
			tell(r)
		}
	}
	run(suite.General())
	var streams []Check
	described := examine(ctx, Check{Name: "streams", Run: func(t T) { streams = suite.Streams(t) }})
	if described.Outcome == Failed {
		tell(described)
		return false
	}
	run(streams)
	return good
}

// examine runs one check.
func examine(ctx context.Context, c Check) (result Result) {
	r := &report{ctx: ctx}
	began := time.Now()
	defer func() {
		if trouble := recover(); trouble != nil && trouble != any(over) {
			panic(trouble)
		}
		result = Result{Check: c.Name, Stream: c.Stream, Outcome: Passed, Why: r.complaints, Millis: time.Since(began).Milliseconds()}
		switch {
		case len(r.complaints) > 0:
			result.Outcome = Failed
		case r.skipped != "":
			result.Outcome, result.Why = Skipped, []string{r.skipped}
		}
	}()
	c.Run(r)
	return
}

// report is the T of a check outside of a test.
type report struct {
	ctx        context.Context
	complaints []string
	skipped    string
}

// over ends a check in its middle.
var over = new(int)

func (r *report) Helper()                  {}
func (r *report) Context() context.Context { return r.ctx }
func (r *report) Errorf(format string, args ...any) {
	r.complaints = append(r.complaints, fmt.Sprintf(format, args...))
}
func (r *report) Fatalf(format string, args ...any) {
	r.Errorf(format, args...)
	panic(over)
}
func (r *report) Skipf(format string, args ...any) {
	r.skipped = fmt.Sprintf(format, args...)
	panic(over)
}
