package openedx

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"regexp"

	"github.com/go-json-experiment/json/jsontext"
)

// maxPrefix is how many bytes may precede the JSON on a line.
const maxPrefix = 4 << 10

// event finds the event on a line: a JSON object, preceded by what the logging system writes (time, level, host). It
// takes no part of a broken object for an event. reason says why there is none, without any of the line's text.
//
// The object is handed on as it stands. Browser events have a JSON text in "event": that is the mapping's to parse.
func event(line []byte, prefix *regexp.Regexp) (object []byte, reason string) {
	line = bytes.TrimRight(line, " \t\r")
	at := 0
	if prefix == nil {
		at = bytes.IndexByte(line[:min(len(line), maxPrefix)], '{')
	} else if found := prefix.FindIndex(line); found == nil {
		return nil, "the line does not begin as the configured prefix says"
	} else {
		at = found[1]
	}
	if at < 0 || at >= len(line) || line[at] != '{' {
		return nil, "there is no JSON object on the line"
	}
	object = line[at:]
	if jsontext.Value(object).IsValid() {
		return object, ""
	}
	return nil, whyInvalid(object)
}

// whyInvalid says where JSON goes wrong. The decoder's own message may quote the text, so it is left out.
func whyInvalid(object []byte) string {
	d := jsontext.NewDecoder(bytes.NewReader(object))
	err := d.SkipValue()
	if err == nil {
		return fmt.Sprintf("there is more text after the JSON object, from its byte %d on", d.InputOffset())
	}
	var syntax *jsontext.SyntacticError
	if !errors.As(err, &syntax) || errors.Is(err, io.ErrUnexpectedEOF) {
		return "the JSON object is cut off"
	}
	if errors.Is(err, jsontext.ErrDuplicateName) {
		return fmt.Sprintf("the JSON object has a name twice, at byte %d", syntax.ByteOffset)
	}
	return fmt.Sprintf("the JSON object is not valid at byte %d", syntax.ByteOffset)
}

// holdsEvent reports whether a line that has no end yet holds a whole event all the same: no beginning of a JSON object is one.
func holdsEvent(line []byte, prefix *regexp.Regexp) bool {
	object, _ := event(line, prefix)
	return object != nil
}
