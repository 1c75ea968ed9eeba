package rest

import (
	"bytes"
	"encoding/json"
	"strconv"
)

// withPart puts the id of its part into an element, which is left as it is if it is no object.
func withPart(raw []byte, name, id string) []byte {
	rest, ok := bytes.CutPrefix(bytes.TrimSpace(raw), []byte("{"))
	if !ok {
		return raw
	}
	member, _ := json.Marshal(name) // texts can always be written
	value, _ := json.Marshal(id)
	if n, err := strconv.ParseInt(id, 10, 64); err == nil && strconv.FormatInt(n, 10) == id {
		value = []byte(id)
	}
	joined := append(append(append([]byte{'{'}, member...), ':'), value...)
	if !bytes.HasPrefix(bytes.TrimSpace(rest), []byte("}")) {
		joined = append(joined, ',')
	}
	return append(joined, rest...)
}
