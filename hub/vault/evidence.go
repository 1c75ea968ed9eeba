package vault

import (
	"bytes"
	"slices"

	"github.com/google/uuid"
)

// maxPerson is how many subjects evidence alone can make one person. More accounts than that share a number by mistake.
const maxPerson = 20

// kinds are the kinds of claim that can link, the strongest first. A name is none of them, and the database's rules can name no other.
var kinds = []string{"employee_number", "student_number", "sourced_id", "external_id", kindMailbox}

const kindMailbox = "mailbox" // of which a person may have several

// Issues of a claim that reaches more than one person.
const (
	IssueShared   = "shared"   // one connection gives it to several of its people
	IssueDisagree = "disagree" // those who have it have different numbers
	IssueApart    = "apart"    // somebody said that some of those who have it are two people
	IssueMany     = "many"     // it would make one person of too many subjects
)

type blind [16]byte

// claimKey is a claim's value, whoever has it.
type claimKey struct {
	kind  string
	blind blind
}

func (k claimKey) compare(o claimKey) int {
	if k.kind != o.kind {
		return slices.Index(kinds, k.kind) - slices.Index(kinds, o.kind)
	}
	return bytes.Compare(k.blind[:], o.blind[:])
}

// claimed says that a connection knows a subject by a claim.
type claimed struct {
	claimKey
	subject    uuid.UUID
	connection uuid.UUID
	issuer     blind
	links      bool // the connection may link on it
	own        bool // the subject is the mailbox itself
}

// pair is two subjects, the lower first.
type pair struct{ low, high uuid.UUID }

func newPair(a, b uuid.UUID) pair {
	if bytes.Compare(a[:], b[:]) > 0 {
		a, b = b, a
	}
	return pair{a, b}
}

func comparePairs(a, b pair) int {
	if c := bytes.Compare(a.low[:], b.low[:]); c != 0 {
		return c
	}
	return bytes.Compare(a.high[:], b.high[:])
}

// evidence is all that says who is who among some subjects.
type evidence struct {
	subjects  []uuid.UUID
	claims    []claimed
	decisions map[pair]bool     // what people said: true: one person, false: two
	ignored   map[claimKey]bool // claims that people said to be no evidence
	wide      map[claimKey]bool // claims that more than maxPerson subjects have; not all of those are here
}

// verdict is what follows from evidence.
type verdict struct {
	person    map[uuid.UUID]uuid.UUID // the lowest subject of each one's person
	links     map[pair]claimKey       // why; the zero key: somebody decided so
	contested map[claimKey]string     // claims that reach more than one person, with the issue
}

// group is subjects that are one person.
type group struct {
	members []uuid.UUID
	numbers map[string][]blind // by kind and issuer: what one person has one of
}

// resolution is a verdict in the making.
type resolution struct {
	evidence
	verdict
	groups map[uuid.UUID]*group
}

// resolve says who is one person. It depends on the evidence alone, not on the order in which it came: decisions first, then claims from the strongest
// kind to the weakest. A claim joins those who have it, unless some of them cannot be one person (see compatible): then it joins only
// such of them as it makes no difference for which of the others is meant, and is contested.
func (e evidence) resolve() verdict {
	r := &resolution{evidence: e, groups: map[uuid.UUID]*group{}}
	r.verdict = verdict{person: map[uuid.UUID]uuid.UUID{}, links: map[pair]claimKey{}, contested: map[claimKey]string{}}
	for _, s := range e.subjects {
		r.groups[s] = &group{members: []uuid.UUID{s}, numbers: map[string][]blind{}}
	}
	holders := map[claimKey][]claimed{}
	for _, c := range e.claims {
		if g := r.groups[c.subject]; g != nil && c.kind != kindMailbox && !c.own {
			number := c.kind + string(c.issuer[:])
			g.numbers[number] = append(g.numbers[number], c.blind)
		}
		if c.links {
			holders[c.claimKey] = append(holders[c.claimKey], c)
		}
	}
	r.decide()
	keys := make([]claimKey, 0, len(holders))
	for key := range holders {
		keys = append(keys, key)
	}
	slices.SortFunc(keys, claimKey.compare)
	for _, key := range keys {
		if !r.ignored[key] {
			r.join(key, holders[key])
		}
	}
	for s, g := range r.groups {
		r.person[s] = slices.MinFunc(g.members, compareIDs)
	}
	return r.verdict
}

func compareIDs(a, b uuid.UUID) int { return bytes.Compare(a[:], b[:]) }

// decide does what people said.
func (r *resolution) decide() {
	var same []pair
	for p, one := range r.decisions {
		if one {
			same = append(same, p)
		}
	}
	slices.SortFunc(same, comparePairs)
	for _, p := range same {
		a, b := r.groups[p.low], r.groups[p.high]
		if a == nil || b == nil || a == b || r.apart(a, b) {
			continue
		}
		r.unite(a, b, p, claimKey{})
	}
}

// apart tells whether somebody said that a member of one is not a member of the other.
func (r *resolution) apart(a, b *group) bool {
	for _, x := range a.members {
		for _, y := range b.members {
			if one, decided := r.decisions[newPair(x, y)]; decided && !one {
				return true
			}
		}
	}
	return false
}

func (r *resolution) unite(a, b *group, why pair, key claimKey) {
	r.links[why] = key
	a.members = append(a.members, b.members...)
	for number, blinds := range b.numbers {
		a.numbers[number] = append(a.numbers[number], blinds...)
	}
	for _, m := range b.members {
		r.groups[m] = a
	}
}

// party is a group that has a claim.
type party struct {
	*group
	first       uuid.UUID          // its lowest subject that has the claim
	connections map[uuid.UUID]bool // that give it the claim, but for the mailbox itself
}

// join lets a claim join those who have it.
func (r *resolution) join(key claimKey, holders []claimed) {
	if r.wide[key] {
		r.contested[key] = IssueMany
		return
	}
	parties := r.parties(holders)
	if len(parties) < 2 {
		return
	}
	issues := make([][]string, len(parties)) // why two of them cannot be one person; "": they can
	for i := range parties {
		issues[i] = make([]string, len(parties))
		for j := range parties {
			if i != j {
				issues[i][j] = r.incompatible(parties[i], parties[j])
			}
		}
	}
	done := make([]bool, len(parties))
	for i := range parties {
		if done[i] {
			continue
		}
		twins, size := []int{i}, len(parties[i].members)
		for j := i + 1; j < len(parties); j++ {
			if issues[i][j] == "" && sameIssues(issues[i], issues[j]) {
				twins, size = append(twins, j), size+len(parties[j].members)
			}
		}
		for _, j := range twins {
			done[j] = true
		}
		if size > maxPerson {
			r.contested[key] = IssueMany
			continue
		}
		for _, j := range twins[1:] {
			r.unite(parties[i].group, parties[j].group, newPair(parties[i].first, parties[j].first), key)
		}
	}
	if issue := r.open(parties, issues); issue != "" && r.contested[key] == "" {
		r.contested[key] = issue
	}
}

// parties gives the groups that have a claim, by their lowest subject that has it.
func (r *resolution) parties(holders []claimed) []party {
	slices.SortFunc(holders, func(a, b claimed) int { return compareIDs(a.subject, b.subject) })
	var list []party
	for _, h := range holders {
		g := r.groups[h.subject]
		if g == nil {
			continue
		}
		i := slices.IndexFunc(list, func(p party) bool { return p.group == g })
		if i < 0 {
			i = len(list)
			list = append(list, party{g, h.subject, map[uuid.UUID]bool{}})
		}
		if !h.own {
			list[i].connections[h.connection] = true
		}
	}
	return list
}

// incompatible says why two groups that have one claim cannot be one person; "" if they can.
func (r *resolution) incompatible(a, b party) string {
	for connection := range a.connections {
		if b.connections[connection] {
			return IssueShared
		}
	}
	for number, blinds := range a.numbers {
		others, has := b.numbers[number]
		if has && !slices.ContainsFunc(blinds, func(x blind) bool { return slices.Contains(others, x) }) {
			return IssueDisagree
		}
	}
	if r.apart(a.group, b.group) {
		return IssueApart
	}
	return ""
}

// sameIssues tells whether two parties can be one person with the same others.
func sameIssues(a, b []string) bool {
	for i := range a {
		if (a[i] == "") != (b[i] == "") {
			return false
		}
	}
	return true
}

// open gives the issue that a human has to decide, "" if there is none: either all are one person now, or people said already that they are not.
func (r *resolution) open(parties []party, issues [][]string) string {
	var issue string
	undecided := false
	for i := range parties {
		for j := range i {
			if r.groups[parties[i].first] == r.groups[parties[j].first] {
				continue
			}
			switch why := issues[i][j]; {
			case why == "":
				undecided = true
			case why == IssueApart:
				issue = cmpIssue(issue, IssueApart)
			case r.apart(r.groups[parties[i].first], r.groups[parties[j].first]):
				// Whatever else is the matter, it is decided.
			default:
				undecided = true
				issue = cmpIssue(issue, why)
			}
		}
	}
	if !undecided {
		return ""
	}
	return issue
}

// cmpIssue gives the graver of two issues.
func cmpIssue(a, b string) string {
	order := []string{"", IssueApart, IssueDisagree, IssueShared}
	if slices.Index(order, a) > slices.Index(order, b) {
		return a
	}
	return b
}
