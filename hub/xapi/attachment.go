package xapi

import "math"

// attachments reads the list of attachment objects (Data 2.4.11).
func (p *parser) attachments(sub bool) *Error {
	if _, e := p.open(kindArray, ruleAttachment); e != nil {
		return e
	}
	for i := 0; ; i++ {
		more, e := p.next()
		if !more {
			return e
		}
		if e := p.attachment(sub); e != nil {
			return e.at(i)
		}
	}
}

func (p *parser) attachment(sub bool) *Error {
	if _, e := p.open(kindObject, ruleAttachment); e != nil {
		return e
	}
	a := Attachment{Length: -1, Sub: sub}
	display := false
	for n := 1; ; n++ {
		name, e := p.name()
		if e != nil {
			return e
		}
		if name == nil {
			break
		}
		switch string(name) {
		case "usageType":
			a.UsageType, e = p.iri(ruleAttachment)
			e = e.in("usageType")
		case "display":
			display = true
			e = p.languageMap().in("display")
		case "description":
			e = p.languageMap().in("description")
		case "contentType":
			a.ContentType, e = p.mediaType()
			e = e.in("contentType")
		case "length":
			a.Length, e = p.octets()
			e = e.in("length")
		case "sha2":
			a.SHA2, e = p.sha2()
			e = e.in("sha2")
		case "fileUrl":
			a.FileURL, e = p.iri(ruleAttachment)
			e = e.in("fileUrl")
		default:
			e = unknownProperty(ruleAttachment, n, name, "usageType", "display", "description", "contentType",
				"length", "sha2", "fileUrl")
		}
		if e != nil {
			return e
		}
	}
	if a.UsageType == "" || !display || a.ContentType == "" || a.Length < 0 || a.SHA2 == "" {
		return invalid(ruleAttachment, "an attachment needs usageType, display, contentType, length and sha2")
	}
	p.st.Attachments = append(p.st.Attachments, a)
	return nil
}

func (p *parser) mediaType() (string, *Error) {
	text, e := p.string(ruleAttachment)
	if e == nil && !isMediaType(text) {
		e = invalid(ruleAttachment, "must be an Internet media type, such as text/plain")
	}
	return text, e
}

// octets reads a whole number from 0, in whatever notation.
func (p *parser) octets() (int64, *Error) {
	f, e := p.number(ruleAttachment)
	if e != nil {
		return 0, e
	}
	if f < 0 || f > 1<<53 || f != math.Trunc(f) {
		return 0, invalid(ruleAttachment, "must be a whole number of octets from 0")
	}
	return int64(f), nil
}

// sha2 reads the hash of the attachment's data: the hexadecimal digits of a SHA-224, 256, 384 or 512.
func (p *parser) sha2() (string, *Error) {
	text, e := p.string(ruleAttachment)
	if e != nil {
		return "", e
	}
	switch len(text) {
	case 56, 64, 96, 128:
		if all(text, isHex) {
			return text, nil
		}
	}
	return "", invalid(ruleAttachment, "must be a SHA-2 hash in hexadecimal digits")
}
