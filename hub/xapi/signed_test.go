package xapi

import (
	"strings"
	"testing"
)

func TestSigned(t *testing.T) {
	attachment := func(usage string) string {
		return `{"usageType":"` + usage + `","display":{"en":"x"},"contentType":"application/octet-stream","length":1,"sha2":"` + strings.Repeat("a", 64) + `"}`
	}
	const id = `"id":"7ccd3322-e1a5-411a-a67d-6a735c76f119",`
	const body = `"actor":{"mbox":"mailto:a@x.example"},"verb":{"id":"https://verbs.example/met"},"object":{"id":"https://x.example/a"}`
	signature, other := attachment(SignatureUsage), attachment("https://x.example/other")
	for name, c := range map[string]struct {
		statement, payload string
		want               bool
	}{
		"as sent":                           {id + body + `,"attachments":[` + signature + `]`, id + body, true},
		"an empty list":                     {body + `,"attachments":[` + signature + `]`, body + `,"attachments":[]`, true},
		"another attachment":                {body + `,"attachments":[` + other + `,` + signature + `]`, body + `,"attachments":[` + other + `]`, true},
		"another attachment, not signed":    {body + `,"attachments":[` + other + `,` + signature + `]`, body, false},
		"a second signer":                   {body + `,"attachments":[` + signature + `,` + signature + `]`, body + `,"attachments":[` + signature + `]`, true},
		"id set since":                      {id + body, body, true},
		"id of another":                     {id + body, strings.Replace(id, "7ccd", "8ccd", 1) + body, false},
		"id dropped":                        {body, id + body, false},
		"timestamp set since":               {body + `,"timestamp":"2026-01-02T03:04:05Z"`, body, true},
		"timestamp in another zone":         {body + `,"timestamp":"2026-01-02T03:04:05Z"`, body + `,"timestamp":"2026-01-02T04:04:05+01:00"`, true},
		"timestamp changed":                 {body + `,"timestamp":"2026-01-02T03:04:05Z"`, body + `,"timestamp":"2026-01-02T03:04:06Z"`, false},
		"timestamp dropped":                 {body, body + `,"timestamp":"2026-01-02T03:04:05Z"`, false},
		"what the store sets":               {body + `,"stored":"2026-01-02T03:04:05Z","version":"1.0.0","authority":{"mbox":"mailto:b@x.example"}`, body, true},
		"a duration beyond a hundredth":     {body + `,"result":{"duration":"PT1.239S"}`, body + `,"result":{"duration":"PT1.23S"}`, true},
		"a duration within a hundredth":     {body + `,"result":{"duration":"PT1.24S"}`, body + `,"result":{"duration":"PT1.23S"}`, false},
		"another actor":                     {body, strings.Replace(body, "a@x", "b@x", 1), false},
		"a result that nobody signed":       {body + `,"result":{"success":true}`, body, false},
		"a definition that nobody signed":   {strings.Replace(body, `/a"`, `/a","definition":{"name":{"en":"x"}}`, 1), body, true},
		"a different order of the same":     {body, `"object":{"id":"https://x.example/a"},"verb":{"id":"https://verbs.example/met"},"actor":{"mbox":"mailto:a@x.example"}`, true},
		"attachments in another order":      {body + `,"attachments":[` + other + `,` + attachment("https://x.example/3") + `]`, body + `,"attachments":[` + attachment("https://x.example/3") + `,` + other + `]`, false},
		"a signature that is not a payload": {body + `,"attachments":[` + other + `]`, body + `,"attachments":[` + signature + `]`, false},
	} {
		if got := parsed(t, "{"+c.statement+"}", V1).Signed(parsed(t, "{"+c.payload+"}", V1)); got != c.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}
