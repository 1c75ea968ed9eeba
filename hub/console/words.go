package console

import (
	"fmt"
	"html/template"
	"strconv"
	"time"

	"github.com/lrshub/lrshub/hub/connection"
)

// words are the functions of the templates.
var words = template.FuncMap{
	"number":   number,
	"len64":    func(list []row) int64 { return int64(len(list)) },
	"plural":   plural,
	"moment":   moment,
	"machine":  func(t time.Time) string { return t.UTC().Format(time.RFC3339) },
	"ago":      ago,
	"lasted":   lasted,
	"interval": interval,
	"run":      runState,
	"state":    connectionState,
	"code":     codeMeans,
	"starter":  starter,
	"percent":  percent,
	"shown":    func(now time.Time, of any) shown { return shown{now, of} },
}

// shown hands a part of a page what it shows and the time at which.
type shown struct {
	Now time.Time
	Of  any
}

// number groups digits by thousands.
func number(n int64) string {
	text := strconv.FormatInt(n, 10)
	for i := len(text) - 3; i > 0 && text[i-1] != '-'; i -= 3 {
		text = text[:i] + "," + text[i:]
	}
	return text
}

// plural is a number with its noun.
func plural(n int64, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return number(n) + " " + many
}

func moment(t time.Time) string { return t.UTC().Format("2 Jan 2006, 15:04:05 UTC") }

// ago says roughly how long before now something was.
func ago(now, t time.Time) string {
	d := now.Sub(t)
	if d < 0 {
		d = 0
	}
	return roughly(d) + " ago"
}

// lasted says how long something took; of what has not ended, how long it takes up to now.
func lasted(now, from time.Time, until *time.Time) string {
	if until != nil {
		now = *until
	}
	d := max(now.Sub(from), 0)
	switch {
	case d < 10*time.Second:
		return fmt.Sprintf("%.1f s", d.Seconds())
	case d >= time.Minute && d < time.Hour:
		return fmt.Sprintf("%d min %d s", int(d.Minutes()), int(d.Seconds())%60)
	case d >= time.Hour && d < 48*time.Hour:
		return fmt.Sprintf("%d h %d min", int(d.Hours()), int(d.Minutes())%60)
	}
	return roughly(d)
}

func roughly(d time.Duration) string {
	switch {
	case d < time.Minute:
		return strconv.Itoa(int(d.Seconds())) + " s"
	case d < 2*time.Hour:
		return strconv.Itoa(int(d.Minutes())) + " min"
	case d < 48*time.Hour:
		return strconv.Itoa(int(d.Hours())) + " h"
	}
	return strconv.Itoa(int(d.Hours()/24)) + " days"
}

// interval says how often a connection is read.
func interval(d time.Duration) string {
	if d == 0 {
		return "on demand"
	}
	text := ""
	for _, part := range []struct {
		size time.Duration
		unit string
	}{{24 * time.Hour, "d"}, {time.Hour, "h"}, {time.Minute, "min"}, {time.Second, "s"}} {
		if n := d / part.size; n > 0 {
			text += fmt.Sprintf(" %d %s", n, part.unit)
			d -= n * part.size
		}
	}
	return "every" + text
}

// status is a state as a word, a colour (a class of the style sheet) and a mark, so that neither has to be seen.
type status struct{ Word, Colour, Mark string }

func runState(r connection.Run) status {
	switch r.State {
	case connection.Running:
		if r.Error != "" {
			return status{"Waiting", "warn", "!"}
		}
		return status{"Running", "busy", "▸"}
	case connection.Succeeded:
		if r.Total.Dead > 0 {
			return status{"Ended with dead letters", "warn", "!"}
		}
		return status{"Succeeded", "good", "✓"}
	case connection.Cancelled:
		return status{"Cancelled", "off", "■"}
	}
	return status{"Failed", "bad", "✕"}
}

func connectionState(c connection.Connection) status {
	if c.State == connection.Paused {
		return status{"Paused", "off", "■"}
	}
	return status{"Active", "good", "✓"}
}

func starter(r connection.Run) string {
	what := "Sync"
	if r.Kind == connection.Replay {
		what = "Replay of dead letters"
	}
	if r.Full {
		what = "Full sync"
	}
	if r.StartedBy == "schedule" {
		return what + ", by schedule"
	}
	return what + ", on demand"
}

// codes say what a dead letter's code means, and what mends it.
var codes = map[string]string{
	"unfit_record":      "the record is not as the connector says: mend the source or the connector, then sync; nothing of the snapshot is taken back",
	"bad_record":        "the source's record cannot be read: mend the source, then sync",
	"too_large":         "the record is larger than the limit: mend the source, then sync",
	"mapping":           "the mapping fails on the record: mend the mapping, then replay",
	"invalid_statement": "the mapping makes a statement that xAPI does not allow: mend the mapping, then replay",
	"missing_lookup":    "a record that it refers to is missing: read that stream, then replay",
	"duplicate_key":     "the source has two records with one key: mend the source, or the key in the configuration, then sync",
}

func codeMeans(code string) string { return codes[code] }

// percent is how much of a stream is read; -1 if its size is unknown.
func percent(p connection.Progress) int64 {
	if p.Total <= 0 {
		return -1
	}
	return min(100, 100*p.Done/p.Total)
}
