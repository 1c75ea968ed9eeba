package xapi

import (
	"bytes"
	"slices"
)

// WithoutAuthority gives the statement without the authority that its sender claims (Data 2.4.9: the store sets it), as if it had been sent so.
func (s *Statement) WithoutAuthority() *Statement {
	if s.Authority.IsZero() {
		return s
	}
	cut := s.authorityCut()
	st := *s
	st.Raw = slices.Concat(s.Raw[:cut.Start], s.Raw[cut.End:])
	st.Authority = Span{}
	st.Agents = s.agentsOutside(cut)
	st.Activities = slices.Clone(s.Activities)
	for i := range st.Activities { // an authority has none
		a := &st.Activities[i]
		a.DefStart, a.DefEnd = cut.moved(a.DefStart), cut.moved(a.DefEnd)
	}
	for _, span := range []*Span{&st.IDSpan, &st.StoredSpan, &st.TimestampSpan, &st.VersionSpan} {
		span.Start, span.End = cut.moved(span.Start), cut.moved(span.End)
	}
	return &st
}

// authorityCut is the authority with one of the commas beside it.
func (s *Statement) authorityCut() Span {
	const space = " \t\r\n"
	after := s.Raw[s.Authority.End:]
	if rest := bytes.TrimLeft(after, space); rest[0] == ',' {
		return Span{s.Authority.Start, s.Authority.End + len(after) - len(rest) + 1}
	}
	before := bytes.TrimRight(s.Raw[:s.Authority.Start], space) // the last property: the comma before it goes
	return Span{len(before) - 1, s.Authority.End}
}

// agentsOutside gives the agents that are not cut, in their new places. A group and its members are all inside or all outside.
func (s *Statement) agentsOutside(cut Span) []Occurrence {
	list := make([]Occurrence, 0, len(s.Agents))
	gone := 0
	for _, o := range s.Agents {
		if cut.Start <= o.Start && o.End <= cut.End {
			gone++
			continue
		}
		if o.Parent >= 0 && o.Start > cut.Start {
			o.Parent -= gone
		}
		o.Start, o.End = cut.moved(o.Start), cut.moved(o.End)
		list = append(list, o)
	}
	return list
}

// moved is where a place outside the span is once the span is cut.
func (s Span) moved(at int) int {
	if at < s.End {
		return at
	}
	return at - (s.End - s.Start)
}
