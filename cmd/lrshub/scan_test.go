package main_test

import (
	"crypto/md5"
	"crypto/rand"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/base64"
	endian "encoding/binary"
	"encoding/hex"
	"fmt"
	"io"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"unicode/utf16"

	"github.com/google/uuid"
)

// form is one way in which a token might be written down.
type form struct {
	name  string
	bytes []byte
}

// encodings are the ways in which bytes are written: as they are, as hex, as base64 wherever in a text they begin.
func encodings(name string, b []byte) []form {
	text := hex.EncodeToString(b)
	forms := []form{{name, b}, {name + " in hex", []byte(text)}, {name + " in upper-case hex", []byte(strings.ToUpper(text))}}
	for shift, lead := range []int{0, 2, 3} { // characters that what stands before takes part in
		padded := append(make([]byte, shift), b...)
		whole := len(padded) * 8 / 6 // characters that what follows takes no part in
		for kind, encoding := range map[string]*base64.Encoding{"base64": base64.RawStdEncoding, "base64url": base64.RawURLEncoding} {
			forms = append(forms, form{fmt.Sprintf("%s in %s, shifted by %d", name, kind, shift), []byte(encoding.EncodeToString(padded)[lead:whole])})
		}
	}
	return forms
}

// plainForms are the ways to write a token itself.
func plainForms(token string) []form {
	forms := append(encodings("plain", []byte(token)), form{"in upper case", []byte(strings.ToUpper(token))})
	var little, big []byte
	for _, unit := range utf16.Encode([]rune(token)) {
		little, big = endian.LittleEndian.AppendUint16(little, unit), endian.BigEndian.AppendUint16(big, unit)
	}
	forms = append(forms, form{"in UTF-16LE", little}, form{"in UTF-16BE", big})
	if n, err := strconv.ParseUint(token, 10, 63); err == nil {
		for name, bits := range map[string]uint64{"as an integer": n, "as a floating-point number": math.Float64bits(float64(n))} {
			forms = append(forms, form{name + ", little-endian", endian.LittleEndian.AppendUint64(nil, bits)}, form{name + ", big-endian", endian.BigEndian.AppendUint64(nil, bits)})
		}
	}
	return forms
}

// digestForms are the ways to write a digest of a text that takes no key: whoever guesses the text finds the person.
func digestForms(text string) []form {
	md, sha, long := md5.Sum([]byte(text)), sha1.Sum([]byte(text)), sha256.Sum256([]byte(text))
	var forms []form
	for name, sum := range map[string][]byte{"MD5": md[:], "SHA-1": sha[:], "SHA-256": long[:], "SHA-1, cut": sha[:16], "SHA-256, cut": long[:16]} {
		forms = append(forms, encodings(name+" of "+text, sum)...)
	}
	for name, space := range map[string]uuid.UUID{"DNS": uuid.NameSpaceDNS, "URL": uuid.NameSpaceURL, "OID": uuid.NameSpaceOID} {
		id := uuid.NewSHA1(space, []byte(text))
		what := "UUIDv5 (" + name + ") of " + text
		forms = append(forms, encodings(what, id[:])...)
		forms = append(forms, form{what + " as text", []byte(id.String())}, form{what + " as upper-case text", []byte(strings.ToUpper(id.String()))})
	}
	return forms
}

// scanner finds forms of tokens in whatever it is shown, all in one pass.
type scanner struct {
	marks [1 << 17]uint64 // a bit for each hash of a form's first eight bytes
	forms map[uint64][]tokenForm
	found map[string][]string // places by token
	bytes int64
}

type tokenForm struct {
	token string
	form
}

// newScanner looks for these tokens, and for digests of the texts that are made of them.
func newScanner(t *testing.T, tokens []string, texts func(token string) []string) *scanner {
	t.Helper()
	s := &scanner{forms: map[uint64][]tokenForm{}, found: map[string][]string{}}
	for _, token := range tokens {
		forms := plainForms(token)
		for _, text := range append(texts(token), token) {
			forms = append(forms, digestForms(text)...)
		}
		for _, f := range forms {
			if len(f.bytes) < 8 {
				t.Fatalf("%s of %s is too short to be told from chance", f.name, token)
			}
			first := endian.LittleEndian.Uint64(f.bytes)
			s.forms[first] = append(s.forms[first], tokenForm{token, f})
			at := mark(first)
			s.marks[at>>6] |= 1 << (at & 63)
		}
	}
	return s
}

// mark hashes eight bytes to a bit of marks.
func mark(first uint64) uint64 { return first * 0x9e3779b97f4a7c15 >> (64 - 23) }

// scan looks through bytes that were found at a place.
func (s *scanner) scan(place string, b []byte) {
	s.bytes += int64(len(b))
	for i := 0; i+8 <= len(b); i++ {
		first := endian.LittleEndian.Uint64(b[i:])
		at := mark(first)
		if s.marks[at>>6]&(1<<(at&63)) == 0 {
			continue
		}
		for _, f := range s.forms[first] {
			if len(b)-i >= len(f.bytes) && string(b[i:i+len(f.bytes)]) == string(f.bytes) {
				told := f.name + " at " + place
				if list := s.found[f.token]; len(list) < 50 && !slices.Contains(list, told) {
					s.found[f.token] = append(list, told)
				}
			}
		}
	}
}

// reader scans what comes through it, in pieces that overlap.
type reader struct {
	*scanner
	place string
	rest  []byte
}

// overlap is longer than any form.
const overlap = 4096

func (r *reader) Write(p []byte) (int, error) {
	r.rest = append(r.rest, p...)
	if len(r.rest) > 1<<20 {
		r.scan(r.place, r.rest)
		r.rest = append(r.rest[:0], r.rest[len(r.rest)-overlap:]...)
	}
	return len(p), nil
}

func (r *reader) Close() error {
	r.scan(r.place, r.rest)
	r.rest = nil
	return nil
}

// folder scans every file below a folder, and the names of all. It gives how many there are.
func (s *scanner) folder(t *testing.T, dir string) (files int) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		place := strings.TrimPrefix(path, dir)
		s.scan("the name of "+place, []byte(place))
		if !entry.Type().IsRegular() {
			return nil
		}
		files++
		f, err := os.Open(path)
		if err != nil {
			return err
		}
		defer f.Close()
		r := &reader{scanner: s, place: place}
		if _, err := io.Copy(r, f); err != nil {
			return err
		}
		return r.Close()
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

// The scanner finds each form of a token wherever it stands, and nothing where none stands.
func TestScanner(t *testing.T) {
	t.Parallel()
	for _, token := range []string{newToken(), newNumber()} {
		texts := func(token string) []string { return []string{"mailto:" + token + "@canary.example"} }
		forms := append(plainForms(token), digestForms(token)...)
		forms = append(forms, digestForms(texts(token)[0])...)
		for _, f := range forms {
			noise := make([]byte, 3000)
			rand.Read(noise)
			s := newScanner(t, []string{token}, texts)
			r := &reader{scanner: s, place: "noise"}
			r.Write(noise)
			r.Write(f.bytes[:5])
			r.Write(f.bytes[5:])
			r.Write(noise)
			r.Close()
			if len(s.found[token]) == 0 {
				t.Errorf("%s is not found", f.name)
			}
			s = newScanner(t, []string{token}, texts)
			s.scan("noise", noise)
			s.scan("nearly", append(f.bytes[:len(f.bytes)-1:len(f.bytes)-1], f.bytes[len(f.bytes)-1]+1))
			if len(s.found[token]) > 0 && !slices.ContainsFunc(forms, func(g form) bool {
				return len(g.bytes) < len(f.bytes) && strings.HasPrefix(string(f.bytes), string(g.bytes))
			}) {
				t.Errorf("%s is found where it is not: %v", f.name, s.found[token])
			}
		}
	}
}

// newToken gives a word that stands nowhere else.
func newToken() string { return "tok" + strings.ToLower(rand.Text()) }

// newNumber gives a number that stands nowhere else.
func newNumber() string {
	var b [8]byte
	rand.Read(b[:])
	return strconv.FormatUint(1e15+endian.BigEndian.Uint64(b[:])%8e15, 10)
}
