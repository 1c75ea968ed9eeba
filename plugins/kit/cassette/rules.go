package cassette

import (
	"regexp"
	"strings"
)

// rule says what becomes of the values of members with such names.
type rule struct {
	what   string // for the report
	names  *regexp.Regexp
	prefix string // of made-up values, which are numbered; the same value always gets the same one
	same   string // the one made-up value, in place of numbered ones
	global bool   // the value is replaced wherever it stands, and in addresses
}

// The rules, by the names that sources give such things. Names are compared in lower case without _ and -.
var rules = []rule{
	{"secret", regexp.MustCompile(`(secret|password|passwd|token|apikey|authorization|sessionid|sessionkey|credential|credentials|signature|sig|accesskey)$`), "made-up-secret-", "", true},
	{"login", regexp.MustCompile(`^(user|username|userprincipalname|login|loginid|nickname|uniqueid|sisuserid|idnumber|externalid|employeenumber|employeeid|learnerid|studentid|personid|sourcedid|usersourcedid)$`), "person-", "", true},
	{"name of a person", regexp.MustCompile(`^(fullname|firstname|lastname|givenname|familyname|middlename|preferredname|displayname|sortablename|learnername|username|formatted|additionalname|honorific.*|learnerfirstname|learnerlastname|manager|managername|supervisor)$`), "Person ", "", true},
	{"name", regexp.MustCompile(`^(name|shortname|label|title)$`), "Name ", "", false},
	{"free text", regexp.MustCompile(`^(body|comment|comments|message|description|bio|note|notes|text|answer|response|html|summary|feedback|content)$`), "Text ", "", false},
	{"birth date", regexp.MustCompile(`^(birth.*|dateofbirth|dob)$`), "", "1970-01-01", false},
	{"telephone", regexp.MustCompile(`(phone|mobile|fax|phonenumber)$`), "", "+00 000 0000", false},
	{"address", regexp.MustCompile(`^(street.*|address[0-9]?|locality|city|postalcode|zip|zipcode|homeaddress)$`), "", "scrubbed", false},
	{"network address", regexp.MustCompile(`^(ip|ipaddress|remoteaddr|remoteip|lastip)$`), "", "192.0.2.1", false},
	{"picture", regexp.MustCompile(`(avatar|avatarurl|photo|photourl|picture|profileimageurl.*)$`), "", "https://images.example/scrubbed", false},
	{"identity number", regexp.MustCompile(`^(ssn|sin|nin|nationalid|passport|taxid)$`), "", "scrubbed", false},
}

// paging are names that look like a secret's and are a page's.
var paging = regexp.MustCompile(`next|page|continuation|cursor|sync|resume`)

// ruleFor finds the rule for a member of an object.
func ruleFor(name string) (rule, bool) {
	plain := strings.ToLower(strings.NewReplacer("_", "", "-", "", " ", "").Replace(name))
	for _, r := range rules {
		if r.names.MatchString(plain) && !(r.what == "secret" && paging.MatchString(plain)) {
			return r, true
		}
	}
	return rule{}, false
}

var mailbox = regexp.MustCompile(`[A-Za-z0-9._%+-]+(@|%40)[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)+`)
