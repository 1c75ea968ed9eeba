package xapi

import (
	"errors"
	"strconv"
	"strings"
)

// ErrDuration says that a text is no ISO 8601 duration.
var ErrDuration = errors.New("must be an ISO 8601 duration, such as PT4H35M59.14S or P4W")

// ISODuration is a duration in the format with designators of ISO 8601:2004 4.4.3.2 (Data 4.6). Its
// components stay apart, because a month or a day has no fixed length.
type ISODuration struct {
	Years, Months, Weeks, Days, Hours, Minutes, Seconds float64

	text string
}

// ParseDuration reads PnYnMnDTnHnMnS or PnW: at least one component, in this order, weeks alone, and a
// decimal fraction, after a point or a comma, only in the last. There is no sign and no format like a date.
func ParseDuration(text string) (ISODuration, error) {
	d := ISODuration{text: text}
	rest, ok := strings.CutPrefix(text, "P")
	date, clock, hasTime := strings.Cut(rest, "T")
	if !ok || rest == "" || hasTime && clock == "" {
		return ISODuration{}, ErrDuration
	}
	fields := [...]struct {
		designator byte
		value      *float64
	}{{'Y', &d.Years}, {'M', &d.Months}, {'D', &d.Days}, {'H', &d.Hours}, {'M', &d.Minutes}, {'S', &d.Seconds}}
	if !hasTime && strings.HasSuffix(date, "W") {
		if n, _ := leadingNumber(date, &d.Weeks); n+1 != len(date) {
			return ISODuration{}, ErrDuration
		}
		return d, nil
	}
	fraction := false
	for half, part := range [2]string{date, clock} {
		for _, f := range fields[3*half : 3*half+3] {
			var value float64
			n, point := leadingNumber(part, &value)
			if n < 0 || n == len(part) || part[n] != f.designator {
				continue
			}
			if fraction {
				return ISODuration{}, ErrDuration
			}
			fraction = point > 0
			*f.value = value
			part = part[n+1:]
		}
		if part != "" {
			return ISODuration{}, ErrDuration
		}
	}
	return d, nil
}

// leadingNumber reads digits and perhaps a fraction; n is the length of the number, -1 if there is none,
// and point the position of its decimal point, 0 if it has none.
func leadingNumber(text string, value *float64) (n, point int) {
	for n < len(text) && isDigit(text[n]) {
		n++
	}
	if n == 0 {
		return -1, 0
	}
	if n < len(text) && (text[n] == '.' || text[n] == ',') {
		point = n
		for n++; n < len(text) && isDigit(text[n]); n++ {
		}
		if n == point+1 {
			return -1, 0
		}
	}
	digits := text[:n]
	if point > 0 && text[point] == ',' {
		digits = text[:point] + "." + text[point+1:n]
	}
	f, err := strconv.ParseFloat(digits, 64)
	if err != nil {
		return -1, 0
	}
	*value = f
	return n, point
}

// Nominal lengths for InSeconds.
const (
	secondsPerDay   = 86_400
	secondsPerYear  = 365.25 * secondsPerDay
	secondsPerMonth = secondsPerYear / 12
)

// InSeconds adds the components up with nominal lengths: a year of 365.25 days, a month a twelfth of it, a
// day of 24 hours. It is for counting and sorting, not for comparing statements.
func (d ISODuration) InSeconds() float64 {
	return d.Years*secondsPerYear + d.Months*secondsPerMonth + (d.Weeks*7+d.Days)*secondsPerDay +
		d.Hours*3600 + d.Minutes*60 + d.Seconds
}

// Canonical gives the text by which durations are compared: as sent, since PT60S and PT1M differ (Data
// 2.3.1), without the digits of a second beyond the hundredths (Data 4.6) and with a point for a comma.
func (d ISODuration) Canonical() string {
	text := strings.Replace(d.text, ",", ".", 1)
	point := strings.IndexByte(text, '.')
	if point < 0 {
		return text
	}
	unit := text[len(text)-1:]
	fraction := text[point+1 : len(text)-1]
	if unit == "S" && len(fraction) > 2 {
		fraction = fraction[:2]
	}
	if fraction = strings.TrimRight(fraction, "0"); fraction != "" {
		fraction = "." + fraction
	}
	return text[:point] + fraction + unit
}
