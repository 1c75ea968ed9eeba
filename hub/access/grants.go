package access

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/ory/ladon"
	"github.com/ory/ladon/compiler"
	"go.yaml.in/yaml/v3"

	"github.com/lrshub/lrshub/policies"
)

// Ladon as it is used here: the grants come from a snapshot, never from one of its stores. Metric must be
// set, or ladon fills it in lazily and races with itself.
var matcher = ladon.NewRegexpMatcher(4096)

// askGrants gives the ids of the grants that allow the request. A grant is to scope:<scope> or to
// client:<id>; one grant that denies, to any of the caller's scopes or to itself, beats all that allow.
func askGrants(ctx context.Context, s *snapshot, r Request) ([]string, error) {
	subjects := []string{"client:" + r.Caller.Client.String()}
	for _, scope := range r.Caller.Scopes {
		if slices.Contains(scopes, scope) { // else a scope "all" with a line break, say, might match a pattern
			subjects = append(subjects, "scope:"+scope)
		}
	}
	var ids []string
	for _, subject := range subjects {
		seen := &deciders{}
		warden := ladon.Ladon{Matcher: matcher, Metric: silent{}, AuditLogger: seen}
		err := warden.DoPoliciesAllow(ctx, &ladon.Request{
			Subject: subject, Action: r.Action, Resource: r.Resource,
			Context: ladon.Context{"purpose": r.Caller.Purpose},
		}, s.policies)
		switch {
		case err == nil:
			ids = append(ids, seen.granted...)
		case errors.Is(err, ladon.ErrRequestForcefullyDenied):
			return nil, fmt.Errorf("%w: grant %s forbids it", ErrDenied, strings.Join(seen.rejected, ", "))
		case !errors.Is(err, ladon.ErrRequestDenied):
			return nil, fmt.Errorf("%w: grants: %w", ErrUndecided, err)
		}
	}
	if len(ids) == 0 {
		return nil, fmt.Errorf("%w: no grant to any of the caller's scopes", ErrDenied)
	}
	return ids, nil
}

// deciders notes which grants decided.
type deciders struct{ granted, rejected []string }

func (d *deciders) LogGrantedAccessRequest(_ context.Context, _ *ladon.Request, _, by ladon.Policies) {
	for _, p := range by {
		d.granted = append(d.granted, p.GetID())
	}
}

func (d *deciders) LogRejectedAccessRequest(_ context.Context, _ *ladon.Request, _, by ladon.Policies) {
	for _, p := range by {
		if !p.AllowAccess() {
			d.rejected = append(d.rejected, p.GetID())
		}
	}
}

type silent struct{}

func (silent) RequestDeniedBy(ladon.Request, ladon.Policy)               {}
func (silent) RequestAllowedBy(ladon.Request, ladon.Policies)            {}
func (silent) RequestNoMatch(ladon.Request)                              {}
func (silent) RequestProcessingError(ladon.Request, ladon.Policy, error) {}

// Limits of a grant, so that matching stays cheap.
const (
	maxListed  = 100 // subjects, actions or resources
	maxPattern = 200 // bytes of one
)

var (
	grantID   = regexp.MustCompile(`^[a-z0-9][a-z0-9._-]{0,99}$`)
	oneCaller = regexp.MustCompile(`^(scope|client):`)
)

// parseGrant reads a grant and refuses what ladon would take and then read otherwise than it looks:
// unknown members, patterns that do not compile, subjects, actions and resources that can never match,
// and conditions, except that the purpose is a given one. A grant that denies may have no condition:
// one that fails would open what the grant should close.
func parseGrant(document []byte) (ladon.DefaultPolicy, error) {
	var shape struct {
		ID          string                                 `json:"id"`
		Description string                                 `json:"description"`
		Effect      string                                 `json:"effect"`
		Subjects    []string                               `json:"subjects"`
		Actions     []string                               `json:"actions"`
		Resources   []string                               `json:"resources"`
		Conditions  map[string]struct{ Type, Options any } `json:"conditions"`
		Meta        []byte                                 `json:"meta"`
	}
	d := json.NewDecoder(bytes.NewReader(document))
	d.DisallowUnknownFields()
	if err := d.Decode(&shape); err != nil {
		return ladon.DefaultPolicy{}, fmt.Errorf("%w: %w", ErrInvalidGrant, err)
	}
	var p ladon.DefaultPolicy
	if err := json.Unmarshal(document, &p); err != nil {
		return ladon.DefaultPolicy{}, fmt.Errorf("%w: %w", ErrInvalidGrant, err)
	}
	if !grantID.MatchString(p.ID) {
		return p, fmt.Errorf("%w: id must be lower-case letters, digits and . _ -, at most 100", ErrInvalidGrant)
	}
	if p.Effect != ladon.AllowAccess && p.Effect != ladon.DenyAccess {
		return p, fmt.Errorf("%w %s: effect is %s or %s", ErrInvalidGrant, p.ID, ladon.AllowAccess, ladon.DenyAccess)
	}
	for _, list := range []struct {
		name    string
		values  []string
		matches []string // nil: any
	}{{"subjects", p.Subjects, nil}, {"actions", p.Actions, actions}, {"resources", p.Resources, resources}} {
		if err := checkList(list.name, list.values, list.matches); err != nil {
			return p, fmt.Errorf("%w %s: %w", ErrInvalidGrant, p.ID, err)
		}
	}
	if err := checkConditions(p); err != nil {
		return p, fmt.Errorf("%w %s: %w", ErrInvalidGrant, p.ID, err)
	}
	return p, nil
}

// matchTime bounds the matching of a pattern when it is checked. Ladon's own bound, 250 ms of the wall clock, is soon over on a busy machine, and a
// grant that is read as invalid denies everything.
const matchTime = 5 * time.Second

func checkList(name string, values, matches []string) error {
	if len(values) == 0 || len(values) > maxListed {
		return fmt.Errorf("%s: want 1 to %d", name, maxListed)
	}
	for i, v := range values {
		if len(v) > maxPattern {
			return fmt.Errorf("%s[%d]: longer than %d bytes", name, i, maxPattern)
		}
		pattern, err := compiler.CompileRegex(v, '<', '>')
		if err != nil {
			return fmt.Errorf("%s[%d]: the pattern between < and > does not compile", name, i)
		}
		pattern.MatchTimeout = matchTime
		fits := func(word string) bool { // a value without a pattern is compared, as ladon does when it decides
			if !strings.ContainsAny(v, "<>") {
				return word == v
			}
			ok, err := pattern.MatchString(word)
			return ok && err == nil
		}
		if matches == nil {
			err = checkSubject(v)
		} else if !slices.ContainsFunc(matches, fits) {
			err = fmt.Errorf("matches none of %s", strings.Join(matches, ", "))
		}
		if err != nil {
			return fmt.Errorf("%s[%d]: %w", name, i, err)
		}
	}
	return nil
}

func checkSubject(v string) error {
	if !oneCaller.MatchString(v) {
		return errors.New("want scope:<scope> or client:<id>")
	}
	if strings.ContainsAny(v, "<>") {
		return nil
	}
	if scope, ok := strings.CutPrefix(v, "scope:"); ok && !slices.Contains(scopes, scope) {
		return fmt.Errorf("no such scope: there are %s", strings.Join(scopes, ", "))
	}
	if id, ok := strings.CutPrefix(v, "client:"); ok {
		if parsed, err := uuid.Parse(id); err != nil || parsed.String() != id {
			return errors.New("client: wants the client's id")
		}
	}
	return nil
}

func checkConditions(p ladon.DefaultPolicy) error {
	for name, condition := range p.Conditions {
		if !p.AllowAccess() {
			return errors.New("a grant that denies can have no condition")
		}
		equal, ok := condition.(*ladon.StringEqualCondition)
		if !ok || name != "purpose" || equal.Equals == "" {
			return errors.New("the only condition is purpose: a StringEqualCondition with equals")
		}
	}
	return nil
}

// defaultGrants reads grants.yaml of the policies.
func defaultGrants() ([]ladon.DefaultPolicy, error) {
	var documents []map[string]any
	if err := yaml.Unmarshal(policies.Grants(), &documents); err != nil {
		return nil, err
	}
	grants := make([]ladon.DefaultPolicy, len(documents))
	for i, d := range documents {
		document, err := json.Marshal(d)
		if err != nil {
			return nil, err
		}
		if grants[i], err = parseGrant(document); err != nil {
			return nil, err
		}
	}
	return grants, nil
}
