package compare

import (
	"encoding/json"
	"fmt"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// tolerance is how far two numbers may lie apart.
const tolerance = 1e-9

// converterExtensions are extensions that say which program made a statement.
var converterExtensions = regexp.MustCompile(`transformer-version|plugin-info|/info$`)

func (c *comparison) value(path string, want, got any) {
	switch w := want.(type) {
	case map[string]any:
		g, ok := got.(map[string]any)
		switch {
		case strings.HasSuffix(path, "contextActivities") && ok:
			c.activities(path, w, g)
		case ok:
			c.object(path, w, g)
		default:
			c.differ(path, want, got, false)
		}
	case []any:
		g, ok := got.([]any)
		if !ok || len(g) != len(w) {
			c.differ(path, want, got, false)
			return
		}
		for i := range w {
			c.value(fmt.Sprintf("%s[%d]", path, i), w[i], g[i])
		}
	case json.Number:
		g, ok := got.(json.Number)
		if !ok || !sameNumber(w, g) {
			c.differ(path, want, got, false)
		}
	default:
		if strings.HasSuffix(path, ".duration") && sameDuration(want, got) {
			return
		}
		if want != got {
			c.differ(path, want, got, strings.Contains(path, "verb.display."))
		}
	}
}

func (c *comparison) object(path string, w, g map[string]any) {
	activity := strings.HasSuffix(path, "object") || strings.Contains(path, "contextActivities.") && strings.HasSuffix(path, "]")
	for _, key := range keys(w, g) {
		x, inWant := w[key]
		y, inGot := g[key]
		at := join(path, key)
		cosmetic := path == "verb" && key == "display" || strings.HasSuffix(path, "].verb") && key == "display" ||
			strings.HasSuffix(path, "verb.display") || strings.HasSuffix(path, "extensions") && converterExtensions.MatchString(key)
		switch {
		case activity && key == "objectType" && (!inWant && y == "Activity" || !inGot && x == "Activity"):
		case !inWant:
			c.differ(at, absent, y, cosmetic)
		case !inGot:
			c.differ(at, x, absent, cosmetic)
		case cosmetic:
			if text(x) != text(y) {
				c.differ(at, x, y, true)
			}
		default:
			c.value(at, x, y)
		}
	}
}

// activities compares contextActivities: each kind is a set of activities by id; one alone is a set of one.
func (c *comparison) activities(path string, w, g map[string]any) {
	for _, key := range keys(w, g) {
		at := join(path, key)
		want, got := set(w[key]), set(g[key])
		for i, a := range want {
			j := slices.IndexFunc(got, func(b any) bool { return sameID(a, b) })
			if j < 0 {
				c.differ(fmt.Sprintf("%s[%d]", at, i), a, absent, false)
				continue
			}
			c.value(fmt.Sprintf("%s[%d]", at, i), a, got[j])
			got = slices.Delete(slices.Clone(got), j, j+1)
		}
		for _, b := range got {
			c.differ(at, absent, b, false)
		}
	}
}

func set(v any) []any {
	switch v := v.(type) {
	case nil:
		return nil
	case []any:
		return v
	}
	return []any{v}
}

func sameID(a, b any) bool {
	x, okX := a.(map[string]any)
	y, okY := b.(map[string]any)
	return okX && okY && x["id"] == y["id"]
}

func sameNumber(a, b json.Number) bool {
	if a == b {
		return true
	}
	x, errX := a.Float64()
	y, errY := b.Float64()
	if errX != nil || errY != nil || math.Abs(x-y) > tolerance {
		return false
	}
	// Beyond 2^53 float64 cannot tell integers apart; there the digits decide.
	i, errI := strconv.ParseInt(string(a), 10, 64)
	j, errJ := strconv.ParseInt(string(b), 10, 64)
	return errI != nil || errJ != nil || i == j
}

var durationText = regexp.MustCompile(`^P(?:(\d+(?:\.\d+)?)Y)?(?:(\d+(?:\.\d+)?)M)?(?:(\d+(?:\.\d+)?)W)?(?:(\d+(?:\.\d+)?)D)?(?:T(?:(\d+(?:\.\d+)?)H)?(?:(\d+(?:\.\d+)?)M)?(?:(\d+(?:\.\d+)?)S)?)?$`)

// sameDuration compares ISO 8601 durations: months by months and seconds by seconds, for a month has no fixed length.
func sameDuration(a, b any) bool {
	x, okX := a.(string)
	y, okY := b.(string)
	if !okX || !okY {
		return false
	}
	months1, seconds1, ok1 := parseDuration(x)
	months2, seconds2, ok2 := parseDuration(y)
	// Hundredths of seconds are all that xAPI compares (Data 4.6).
	return ok1 && ok2 && math.Abs(months1-months2) < tolerance && math.Trunc(seconds1*100+tolerance) == math.Trunc(seconds2*100+tolerance)
}

func parseDuration(text string) (months, seconds float64, ok bool) {
	m := durationText.FindStringSubmatch(text)
	if m == nil || strings.HasSuffix(text, "P") || strings.HasSuffix(text, "T") {
		return 0, 0, false
	}
	var n [7]float64
	for i, part := range m[1:] {
		if part != "" {
			n[i], _ = strconv.ParseFloat(part, 64) // the expression lets only numbers through
		}
	}
	return n[0]*12 + n[1], n[2]*604800 + n[3]*86400 + n[4]*3600 + n[5]*60 + n[6], true
}
