package xapi

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"pgregory.net/rapid"
)

// A generated statement is a tree whose nodes know which spellings mean the same. spell writes one of
// them, so that two spellings of one tree must be equal statements and two trees must not.
type tree interface{ spell(s *speller) }

type (
	object []property
	array  []tree
	// unordered is a list whose order does not count; single lets a list of one be written without brackets.
	unordered struct {
		items  []tree
		single bool
	}
	text    string    // exact
	caseful string    // the case does not count
	mailbox [2]string // local part, domain in any case
	instant time.Time
	length  string // a duration's text, up to hundredths of a second
	number  [2]int // value and power of ten
	literal string // true, false, null
)

type property struct {
	name    string
	value   tree
	exempt  bool // does not count for equality
	implied bool // may be left out: it is the default
}

// speller writes JSON with choices drawn from t; plain writes always the same.
type speller struct {
	t     *rapid.T
	plain bool
	out   strings.Builder
}

func (s *speller) chance(n int) bool {
	return !s.plain && rapid.IntRange(0, n-1).Draw(s.t, "chance") == 0
}

func (s *speller) space() {
	if s.chance(6) {
		s.out.WriteString(rapid.SampledFrom([]string{" ", "\n", "\t", "\r\n  "}).Draw(s.t, "space"))
	}
}

func (s *speller) order(n int) []int {
	order := make([]int, n)
	for i := range order {
		order[i] = i
	}
	if s.plain || n < 2 {
		return order
	}
	return rapid.Permutation(order).Draw(s.t, "order")
}

func (s *speller) string(v string) {
	s.out.WriteByte('"')
	for _, c := range v {
		switch {
		case c == '"' || c == '\\':
			s.out.WriteString(`\` + string(c))
		case c < ' ':
			fmt.Fprintf(&s.out, `\u%04x`, c)
		case c < 0x10000 && s.chance(20):
			fmt.Fprintf(&s.out, `\u%04X`, c)
		case c == '/' && s.chance(10):
			s.out.WriteString(`\/`)
		default:
			s.out.WriteRune(c)
		}
	}
	s.out.WriteByte('"')
}

func (o object) spell(s *speller) {
	s.out.WriteByte('{')
	s.space()
	written := 0
	for _, i := range s.order(len(o)) {
		if o[i].implied && s.chance(2) {
			continue
		}
		if written++; written > 1 {
			s.out.WriteByte(',')
			s.space()
		}
		s.string(o[i].name)
		s.space()
		s.out.WriteByte(':')
		s.space()
		o[i].value.spell(s)
		s.space()
	}
	s.out.WriteByte('}')
}

func (a array) spell(s *speller) {
	s.out.WriteByte('[')
	for i, item := range a {
		if i > 0 {
			s.out.WriteByte(',')
		}
		s.space()
		item.spell(s)
		s.space()
	}
	s.out.WriteByte(']')
}

func (u unordered) spell(s *speller) {
	if u.single && len(u.items) == 1 && s.chance(2) {
		u.items[0].spell(s)
		return
	}
	items := make(array, 0, len(u.items))
	for _, i := range s.order(len(u.items)) {
		items = append(items, u.items[i])
	}
	items.spell(s)
}

func (v text) spell(s *speller)    { s.string(string(v)) }
func (v literal) spell(s *speller) { s.out.WriteString(string(v)) }

func (v caseful) spell(s *speller) {
	if s.chance(2) {
		v = caseful(strings.ToUpper(string(v)))
	}
	s.string(string(v))
}

func (v mailbox) spell(s *speller) {
	if s.chance(2) {
		v[1] = strings.ToUpper(v[1])
	}
	s.string("mailto:" + v[0] + "@" + v[1])
}

func (v instant) spell(s *speller) {
	zone := time.UTC
	if s.chance(2) {
		zone = time.FixedZone("", 60*rapid.IntRange(1, 14*60).Draw(s.t, "offset"))
	}
	layout := "2006-01-02T15:04:05.999999Z07:00"
	if s.chance(3) {
		layout = "2006-01-02 15:04:05.000000000Z07:00"
	}
	s.string(time.Time(v).In(zone).Format(layout))
}

func (v length) spell(s *speller) {
	if s.chance(2) && strings.Contains(string(v), ".") {
		v = length(strings.TrimSuffix(string(v), "S") + "01S")
	}
	s.string(string(v))
}

func (v number) spell(s *speller) {
	value, power := v[0], v[1]
	for range 3 {
		if s.chance(2) {
			value, power = value*10, power-1
		}
	}
	switch {
	case power == 0 && s.chance(2):
		fmt.Fprintf(&s.out, "%d.00", value)
	case power == 0:
		s.out.WriteString(strconv.Itoa(value))
	default:
		fmt.Fprintf(&s.out, "%de%+d", value, power)
	}
}

// spelling writes the tree with choices drawn from t.
func spelling(t *rapid.T, tr tree) string {
	s := speller{t: t}
	s.space()
	tr.spell(&s)
	s.space()
	return s.out.String()
}

// plainSpelling writes the tree always in the same way.
func plainSpelling(tr tree) string {
	s := speller{plain: true}
	tr.spell(&s)
	return s.out.String()
}
