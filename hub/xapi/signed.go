package xapi

import "bytes"

// SignatureUsage is the usageType of an attachment that holds a statement's signature, and SignatureType the contentType that it must have (Data 2.6).
const (
	SignatureUsage = "http://adlnet.gov/expapi/attachments/signature"
	SignatureType  = "application/octet-stream"
)

// IsSignature says whether the attachment is a signature of its statement. Inside a sub-statement it is none: only whole statements are signed.
func (a Attachment) IsSignature() bool { return a.UsageType == SignatureUsage && !a.Sub }

// Signed tells whether payload, the statement that a signature holds, is this one as it was before it was signed (Data 2.6): equal as for a repeated
// id, but for the signatures among the attachments. What payload has of id and timestamp must be the same; what it lacks a store may have set since.
func (s *Statement) Signed(payload *Statement) bool {
	if payload.HasID && (!s.HasID || payload.ID != s.ID) {
		return false
	}
	if !payload.Timestamp.IsZero() && !payload.Timestamp.Equal(s.Timestamp) {
		return false
	}
	return bytes.Equal(s.canonical(shapeUnsigned), payload.canonical(shapeUnsigned))
}

// unsigned tells whether an attachment list has others than signatures.
func (c *canonicaliser) unsigned(list int) bool {
	for e := list + 1; e < c.nodes[list].after; e = c.nodes[e].after {
		if !c.signature(e) {
			return true
		}
	}
	return false
}

func (c *canonicaliser) signature(attachment int) bool {
	usage := c.property(attachment, "usageType")
	return usage >= 0 && string(c.text(usage)) == SignatureUsage
}
