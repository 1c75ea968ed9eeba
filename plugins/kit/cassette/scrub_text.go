package cassette

import (
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"
)

// text scrubs what has no structure: secrets, mailboxes, hosts, and whatever was learned.
func (w *scrubber) text(text string) string {
	text = w.mailboxes(w.secrets.Replace(text))
	for _, host := range slices.SortedFunc(maps.Keys(w.hosts), func(a, b string) int { return len(b) - len(a) }) {
		bare, _, _ := strings.Cut(host, ":")
		text = strings.ReplaceAll(strings.ReplaceAll(text, host, w.hosts[host]), bare, w.hosts[host])
	}
	if w.inText != nil && !w.learning {
		text = w.inText.ReplaceAllStringFunc(text, func(met string) string {
			parts := w.inText.FindStringSubmatch(met)
			w.counts["identifier in a text"]++
			return parts[1] + w.values[parts[2]]
		})
	}
	return text
}

func (w *scrubber) mailboxes(text string) string {
	return mailbox.ReplaceAllStringFunc(text, func(met string) string {
		plain := strings.ReplaceAll(met, "%40", "@")
		if strings.HasSuffix(plain, "@example.org") && strings.HasPrefix(plain, "person") {
			return met
		}
		w.counts["mailbox"]++
		if w.values[plain] == "" {
			w.numbers["mailbox"]++
			w.values[plain] = fmt.Sprintf("person%d@example.org", w.numbers["mailbox"])
		}
		return w.values[plain]
	})
}

// address scrubs a URL: its host, the parts of its path and the values of its query.
func (w *scrubber) address(text string) string {
	u, err := url.Parse(w.secrets.Replace(text))
	if err != nil {
		return w.text(text)
	}
	if madeUp := w.hosts[u.Host]; madeUp != "" {
		u.Host = madeUp
	}
	parts := strings.Split(u.EscapedPath(), "/")
	for i, part := range parts {
		plain, err := url.PathUnescape(part)
		if err != nil {
			continue
		}
		if scrubbed := w.part("", plain); scrubbed != plain {
			parts[i] = url.PathEscape(scrubbed)
		}
	}
	u.Path, u.RawPath = "", ""
	path := strings.Join(parts, "/")
	if plain, err := url.PathUnescape(path); err == nil {
		u.Path, u.RawPath = plain, path
	}
	if u.RawQuery != "" {
		query := u.Query()
		if w.query(query) {
			u.RawQuery = query.Encode()
		}
	}
	return u.String()
}

// query scrubs the values of parameters; it says whether any changed.
func (w *scrubber) query(query url.Values) (changed bool) {
	for name, values := range query {
		for i, value := range values {
			scrubbed := w.part(name, value)
			changed = changed || scrubbed != value
			values[i] = scrubbed
		}
	}
	return changed
}

// part scrubs a part of a path, or a parameter's value.
func (w *scrubber) part(name, value string) string {
	value = w.secrets.Replace(value)
	if r, ok := ruleFor(name); ok && r.what == "secret" && value != "" && !strings.HasPrefix(value, Secret("")) {
		return w.person(r.prefix, value)
	}
	if madeUp, ok := w.values[value]; ok {
		return madeUp
	}
	return w.text(value)
}
