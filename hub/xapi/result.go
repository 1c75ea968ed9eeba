package xapi

import "math"

// result reads the result of a statement or sub-statement (Data 2.4.5).
func (p *parser) result(sub bool) *Error {
	if _, e := p.open(kindObject, ruleResult); e != nil {
		return e
	}
	var res Result
	for n := 1; ; n++ {
		name, e := p.name()
		if e != nil {
			return e
		}
		if name == nil {
			break
		}
		switch string(name) {
		case "score":
			e = p.score(&res).in("score")
		case "success":
			res.Success, e = p.optionalBool()
			e = e.in("success")
		case "completion":
			res.Completion, e = p.optionalBool()
			e = e.in("completion")
		case "response":
			e = p.skipString(ruleResult).in("response")
		case "duration":
			res.Duration, e = p.duration()
			e = e.in("duration")
		case "extensions":
			e = p.extensions().in("extensions")
		default:
			e = unknownProperty(ruleResult, n, name, "score", "success", "completion", "response", "duration", "extensions")
		}
		if e != nil {
			return e
		}
	}
	if !sub {
		p.st.Result = res
	}
	return nil
}

func (p *parser) optionalBool() (*bool, *Error) {
	b, e := p.boolean(ruleResult)
	return &b, e
}

func (p *parser) duration() (string, *Error) {
	text, e := p.string(ruleResult)
	if e != nil {
		return "", e
	}
	if _, err := ParseDuration(text); err != nil {
		return "", invalid(ruleDuration, err.Error())
	}
	return text, nil
}

// score reads a score: scaled from -1 to 1, min not greater than max, raw between them (Data 2.4.5.1). The
// text says "less than"; the conformance requirement (XAPI-00081) refuses only "greater than", and real
// systems send min 0 and max 0 for what carries no weight, so equal ones pass.
func (p *parser) score(res *Result) *Error {
	if _, e := p.open(kindObject, ruleScore); e != nil {
		return e
	}
	for n := 1; ; n++ {
		name, e := p.name()
		if e != nil {
			return e
		}
		if name == nil {
			break
		}
		switch string(name) {
		case "scaled":
			res.ScoreScaled, e = p.optionalNumber()
			e = e.in("scaled")
		case "raw":
			res.ScoreRaw, e = p.optionalNumber()
			e = e.in("raw")
		case "min":
			res.ScoreMin, e = p.optionalNumber()
			e = e.in("min")
		case "max":
			res.ScoreMax, e = p.optionalNumber()
			e = e.in("max")
		default:
			e = unknownProperty(ruleScore, n, name, "scaled", "raw", "min", "max")
		}
		if e != nil {
			return e
		}
	}
	return scoreRules(res)
}

func (p *parser) optionalNumber() (*float64, *Error) {
	f, e := p.number(ruleScore)
	return &f, e
}

func scoreRules(res *Result) *Error {
	low, high := math.Inf(-1), math.Inf(1)
	if res.ScoreMin != nil {
		low = *res.ScoreMin
	}
	if res.ScoreMax != nil {
		high = *res.ScoreMax
	}
	switch {
	case res.ScoreScaled != nil && (*res.ScoreScaled < -1 || *res.ScoreScaled > 1):
		return invalid(ruleScore, "must be from -1 to 1").in("scaled")
	case low > high:
		return invalid(ruleScore, "must not be greater than max").in("min")
	case res.ScoreRaw != nil && *res.ScoreRaw < low:
		return invalid(ruleScore, "must not be less than min").in("raw")
	case res.ScoreRaw != nil && *res.ScoreRaw > high:
		return invalid(ruleScore, "must not be greater than max").in("raw")
	}
	return nil
}
