package vault

import (
	"fmt"
	"maps"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
	"pgregory.net/rapid"
)

// A case is written as people see it: subjects are letters, and so are the connections that know them.
func subjectOf(letter string) uuid.UUID {
	return uuid.NewSHA1(uuid.NameSpaceOID, []byte("subject "+letter))
}
func connectionOf(letter string) uuid.UUID {
	return uuid.NewSHA1(uuid.NameSpaceOID, []byte("connection "+letter))
}

func blindOf(text string) (b blind) {
	copy(b[:], text)
	return b
}

// known says that a connection, which links on everything, knows a subject by a claim.
func known(connection, subject, kind, value string) claimed {
	return claimed{claimKey: claimKey{kind, blindOf(value)}, subject: subjectOf(subject), connection: connectionOf(connection), links: true}
}

func (e evidence) of(letters string) evidence {
	for _, l := range letters {
		e.subjects = append(e.subjects, subjectOf(string(l)))
	}
	return e
}

// persons writes a verdict as "ab c": those of one person together, in order.
func persons(out verdict, letters string) string {
	var words []string
	by := map[uuid.UUID]int{}
	for _, l := range letters {
		p := out.person[subjectOf(string(l))]
		if _, there := by[p]; !there {
			by[p] = len(words)
			words = append(words, "")
		}
		words[by[p]] += string(l)
	}
	return fmt.Sprint(words)
}

func TestEvidence(t *testing.T) {
	const number, mail, external = "employee_number", "mailbox", "external_id"
	weak := func(c claimed) claimed { c.links = false; return c }
	self := func(c claimed) claimed { c.own = true; return c }
	apart := func(a, b string) map[pair]bool { return map[pair]bool{newPair(subjectOf(a), subjectOf(b)): false} }
	for name, c := range map[string]struct {
		claims    []claimed
		decisions map[pair]bool
		ignored   []claimKey
		want      string
		issues    map[claimKey]string
	}{
		"the same number": {claims: []claimed{known("H", "a", number, "7"), known("L", "b", number, "7"), known("L", "c", number, "8")}, want: "[ab c d]"},
		"a number and a mailbox join three": {claims: []claimed{known("H", "a", number, "7"), known("H", "a", mail, "x"), known("L", "b", number, "7"), known("M", "c", mail, "x")},
			want: "[abc d]"},
		"a connection that may not link": {claims: []claimed{known("H", "a", number, "7"), weak(known("L", "b", number, "7"))}, want: "[a b c d]"},
		"the mailbox itself":             {claims: []claimed{known("H", "a", mail, "x"), self(known("H", "b", mail, "x"))}, want: "[ab c d]"},
		"two of one connection share a mailbox": {claims: []claimed{known("H", "a", mail, "x"), known("H", "b", mail, "x"), known("L", "c", mail, "x")}, want: "[a b c d]",
			issues: map[claimKey]string{{mail, blindOf("x")}: IssueShared}},
		"those two are one person by another number": {claims: []claimed{known("H", "a", mail, "x"), known("H", "b", mail, "x"), known("L", "c", mail, "x"),
			known("H", "a", number, "7"), known("L", "d", number, "7"), known("I", "d", external, "e"), known("H", "b", external, "e")}, want: "[abcd]"},
		"a mailbox joins two numbers": {claims: []claimed{known("H", "a", number, "7"), known("H", "a", mail, "x"), known("L", "b", number, "8"), known("L", "b", mail, "x"), known("M", "c", mail, "x")},
			want: "[a b c d]", issues: map[claimKey]string{{mail, blindOf("x")}: IssueDisagree}},
		"a number that may not link disagrees too": {claims: []claimed{known("H", "a", number, "7"), known("H", "a", mail, "x"), weak(known("L", "b", number, "8")), known("L", "b", mail, "x")},
			want: "[a b c d]", issues: map[claimKey]string{{mail, blindOf("x")}: IssueDisagree}},
		"a claim that is no evidence": {claims: []claimed{known("H", "a", mail, "x"), known("L", "b", mail, "x")}, ignored: []claimKey{{mail, blindOf("x")}}, want: "[a b c d]"},
		"a decision":                  {decisions: map[pair]bool{newPair(subjectOf("a"), subjectOf("d")): true}, want: "[ad b c]"},
		"a decision against evidence": {claims: []claimed{known("H", "a", number, "7"), known("L", "b", number, "7")}, decisions: apart("a", "b"), want: "[a b c d]"},
		"whose is the third": {claims: []claimed{known("H", "a", number, "7"), known("L", "b", number, "7"), known("M", "c", number, "7")}, decisions: apart("a", "b"), want: "[a b c d]",
			issues: map[claimKey]string{{number, blindOf("7")}: IssueApart}},
		"those who stay together after a split": {claims: []claimed{known("H", "a", number, "7"), known("L", "b", number, "7"), known("M", "c", number, "7")},
			decisions: map[pair]bool{newPair(subjectOf("a"), subjectOf("c")): false, newPair(subjectOf("b"), subjectOf("c")): false}, want: "[ab c d]"},
		"a decision overrules disagreement": {claims: []claimed{known("H", "a", number, "7"), known("H", "b", number, "8")},
			decisions: map[pair]bool{newPair(subjectOf("a"), subjectOf("b")): true}, want: "[ab c d]"},
	} {
		e := evidence{claims: c.claims, decisions: c.decisions, ignored: map[claimKey]bool{}}.of("abcd")
		for _, key := range c.ignored {
			e.ignored[key] = true
		}
		out := e.resolve()
		if got := persons(out, "abcd"); got != c.want {
			t.Errorf("%s: %s, want %s", name, got, c.want)
		}
		if diff := cmp.Diff(c.issues, out.contested, cmp.AllowUnexported(claimKey{})); diff != "" && len(c.issues)+len(out.contested) > 0 {
			t.Errorf("%s: contested: %s", name, diff)
		}
	}
}

func TestTooManySubjects(t *testing.T) {
	var e evidence
	for i := range maxPerson + 1 { // a chain: each shares an external id with the next
		s := uuid.NewSHA1(uuid.NameSpaceOID, fmt.Append(nil, i))
		e.subjects = append(e.subjects, s)
		for _, link := range []int{i, i + 1} {
			key := claimKey{kindMailbox, blindOf(fmt.Sprint("m", link))}
			e.claims = append(e.claims, claimed{claimKey: key, subject: s, connection: s, links: true})
		}
	}
	out := e.resolve()
	if len(out.contested) != 1 {
		t.Errorf("%d claims are contested, want the one that would join the last", len(out.contested))
	}
	for _, issue := range out.contested {
		if issue != IssueMany {
			t.Errorf("issue %s", issue)
		}
	}
}

func evidenceGenerator() *rapid.Generator[evidence] {
	return rapid.Custom(func(t *rapid.T) evidence {
		const letters = "abcdefghij"
		e := evidence{decisions: map[pair]bool{}, ignored: map[claimKey]bool{}}.of(letters)
		letter := rapid.SampledFrom([]string{"a", "b", "c", "d", "e", "f", "g", "h", "i", "j"})
		for range rapid.IntRange(0, 25).Draw(t, "claims") {
			c := known(rapid.SampledFrom([]string{"H", "L", "M"}).Draw(t, "connection"), letter.Draw(t, "subject"),
				rapid.SampledFrom(kinds).Draw(t, "kind"), rapid.SampledFrom([]string{"1", "2", "3"}).Draw(t, "value"))
			c.links = rapid.IntRange(0, 9).Draw(t, "links") > 0
			c.own = c.kind == kindMailbox && rapid.Bool().Draw(t, "own")
			e.claims = append(e.claims, c)
		}
		for range rapid.IntRange(0, 5).Draw(t, "decisions") {
			if a, b := letter.Draw(t, "one"), letter.Draw(t, "other"); a != b {
				e.decisions[newPair(subjectOf(a), subjectOf(b))] = rapid.Bool().Draw(t, "same")
			}
		}
		return e
	})
}

// The same evidence gives the same people, in whatever order it comes; nobody is one with somebody from whom a decision keeps them apart; and links are a forest that spans
// each person.
func TestEvidenceHasNoOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		e := evidenceGenerator().Draw(t, "evidence")
		out := e.resolve()
		mixed := e
		mixed.claims, mixed.subjects = rapid.Permutation(e.claims).Draw(t, "claims"), rapid.Permutation(e.subjects).Draw(t, "subjects")
		again := mixed.resolve()
		if !maps.Equal(out.person, again.person) || !maps.Equal(out.links, again.links) || !maps.Equal(out.contested, again.contested) {
			t.Fatalf("in another order: %v and %v", out, again)
		}
		for p, same := range e.decisions {
			if !same && out.person[p.low] == out.person[p.high] {
				t.Fatal("two who are kept apart are one person")
			}
		}
		size := map[uuid.UUID]int{}
		for s, p := range out.person {
			size[p]++
			if compareIDs(p, s) > 0 || out.person[p] != p {
				t.Fatal("a person is not named by its lowest subject")
			}
		}
		want := 0
		for _, n := range size {
			want += n - 1
		}
		if len(out.links) != want {
			t.Fatalf("%d links, want %d", len(out.links), want)
		}
		for p := range out.links {
			if out.person[p.low] != out.person[p.high] {
				t.Fatal("a link between two people")
			}
		}
	})
}

// More evidence of other people changes nothing.
func TestEvidenceOfOthers(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		e := evidenceGenerator().Draw(t, "evidence")
		out := e.resolve()
		more := e
		more.claims = append(slices.Clone(e.claims), known("H", "y", kinds[0], "9"), known("L", "z", kinds[0], "9"))
		more.subjects = append(slices.Clone(e.subjects), subjectOf("y"), subjectOf("z"))
		again := more.resolve()
		for s, p := range out.person {
			if again.person[s] != p {
				t.Fatal("a stranger's number changed who somebody is")
			}
		}
		if again.person[subjectOf("y")] != again.person[subjectOf("z")] {
			t.Fatal("the strangers are not one")
		}
	})
}
