package contract

import "strings"

// SplitPath takes a dotted path apart: "context.course_id" gives ["context", "course_id"]. A dot that belongs to a name
// is written `\.` and a backslash `\\`. Lists take no part of their own: "items.id" is the id of every item.
func SplitPath(path string) []string {
	if !strings.Contains(path, `\`) {
		return strings.Split(path, ".")
	}
	var parts []string
	var part strings.Builder
	for i := 0; i < len(path); i++ {
		switch c := path[i]; {
		case c == '\\' && i+1 < len(path):
			i++
			part.WriteByte(path[i])
		case c == '.':
			parts = append(parts, part.String())
			part.Reset()
		default:
			part.WriteByte(c)
		}
	}
	return append(parts, part.String())
}

var escapePath = strings.NewReplacer(`\`, `\\`, `.`, `\.`)

// JoinPath is the reverse of SplitPath.
func JoinPath(parts ...string) string {
	escaped := make([]string, len(parts))
	for i, part := range parts {
		escaped[i] = escapePath.Replace(part)
	}
	return strings.Join(escaped, ".")
}
