package csv

import (
	"bytes"
	"io"
)

// Sizes of the scanner's buffers, in bytes.
const (
	firstBuffer = 256 << 10 // grows, by doubling, up to the record limit
	skipBuffer  = 64 << 10  // what is read at a time while a record is skipped
	aliveEvery  = 16 << 20  // read between two calls of scanner.alive
)

// fault says why a stretch of the file is no record.
type fault int

const (
	faultNone     fault = iota
	faultTooLarge       // longer than the limit
	faultQuotes         // its quotes do not follow RFC 4180
)

func (f fault) String() string {
	switch f {
	case faultTooLarge:
		return "it is too large"
	case faultQuotes:
		return "a quote is not closed, or stands within a cell that does not begin with one"
	}
	return ""
}

// row is one record as it stands in the file. raw is valid until the next call of scanner.next.
type row struct {
	raw    []byte // without its line end; nil when fault is faultTooLarge
	line   int64  // physical line, counted from 1, on which it begins
	quotes bool   // it holds a quote character
	fault  fault
}

// scanner cuts a file into records (RFC 4180: a line end within quotes does not end a record). It holds at most
// limit bytes of the file plus one buffer, whatever a record's size.
//
// A record whose quotes are broken is reported as its first physical line, and scanning goes on at the next line:
// a stray quote costs that line and not the rest of the file. No stretch is looked at more than a few times, since
// the line after a stray opening quote can only be left open again by the very quote that ended the look-ahead.
type scanner struct {
	src   io.ReaderAt
	delim byte
	limit int
	alive func(offset int64) error // called now and then while the file is read; its error ends the scan
	sum   checksum                 // of what was consumed, as it was parsed; the caller gives what lies before

	buf    []byte // buf[start:] is not consumed yet
	start  int
	base   int64 // file offset of buf[0]
	told   int64 // offset of the last call of alive
	eof    bool  // buf ends at the end of the file
	offset int64 // all before is consumed
	line   int64 // of the next record
	ended  bool  // what was consumed last ended in a line end
}

// newScanner starts at an offset at which a record begins.
func newScanner(src io.ReaderAt, delim byte, limit int, offset, line int64) *scanner {
	return &scanner{src: src, delim: delim, limit: limit, alive: func(int64) error { return nil },
		buf: make([]byte, 0, min(firstBuffer, limit+1)), base: offset, told: offset, offset: offset, line: line}
}

func (s *scanner) tell(offset int64) error {
	if offset-s.told < aliveEvery {
		return nil
	}
	s.told = offset
	return s.alive(offset)
}

// next returns the next record or the next stretch that is none; io.EOF after the last.
func (s *scanner) next() (row, error) {
	scanned := 0
	for {
		rest := s.buf[s.start:]
		i := bytes.IndexByte(rest[scanned:], '\n')
		switch {
		case i >= 0 && scanned+i > s.limit:
			return s.large()
		case i >= 0 || (s.eof && len(rest) > 0 && len(rest) <= s.limit):
			end, consumed := scanned+i, scanned+i+1
			if i < 0 {
				end, consumed = len(rest), len(rest)
			}
			if bytes.IndexByte(rest[:end], '"') >= 0 {
				return s.quoted()
			}
			r := row{raw: trimCR(rest[:end]), line: s.line}
			s.consume(consumed, 1)
			return r, nil
		case len(rest) > s.limit:
			return s.large()
		case s.eof:
			return row{}, io.EOF
		}
		scanned = len(rest)
		if err := s.fill(); err != nil {
			return row{}, err
		}
	}
}

// quoted returns the record at start, which holds a quote in its first line.
func (s *scanner) quoted() (row, error) {
	for {
		m := machine{delim: s.delim}
		rest := s.buf[s.start:]
		n, state := m.run(rest)
		if state == running && s.eof && len(rest) <= s.limit {
			n, state = len(rest), m.end()
		}
		switch {
		case state == broken:
			return s.brokenLine()
		case n > s.limit+1 || (state == running && len(rest) > s.limit):
			return s.large()
		case state == complete:
			r := row{raw: trimCR(bytes.TrimSuffix(rest[:n], newline)), line: s.line, quotes: true}
			s.consume(n, 1+int64(bytes.Count(r.raw, newline)))
			return r, nil
		}
		if err := s.fill(); err != nil {
			return row{}, err
		}
	}
}

// large skips a record that is longer than the limit: to its proper end, or over its first line if its quotes are broken.
func (s *scanner) large() (row, error) {
	m := machine{delim: s.delim}
	n, state := m.run(s.buf[s.start:])
	to := s.offset + int64(n)
	chunk := make([]byte, skipBuffer)
	for state == running {
		n, err := s.src.ReadAt(chunk, to)
		if err != nil && err != io.EOF {
			return row{}, err
		}
		used, st := m.run(chunk[:n])
		to, state = to+int64(used), st
		if err := s.tell(to); err != nil {
			return row{}, err
		}
		if st == running && err == io.EOF {
			state = m.end()
		}
	}
	if state == broken {
		return s.brokenLine()
	}
	r := row{line: s.line, fault: faultTooLarge}
	return r, s.skip(func(b []byte, at int64) (int, bool) {
		n := min(int64(len(b)), to-at)
		return int(n), at+n == to
	})
}

// brokenLine reports and skips the first physical line at start.
func (s *scanner) brokenLine() (row, error) {
	r := row{line: s.line, quotes: true, fault: faultQuotes}
	rest := s.buf[s.start:]
	if i := bytes.IndexByte(rest, '\n'); i >= 0 && i <= s.limit {
		r.raw = trimCR(rest[:i])
		s.consume(i+1, 1)
		return r, nil
	}
	length := int64(0)
	err := s.skip(func(b []byte, _ int64) (int, bool) {
		i := bytes.IndexByte(b, '\n')
		if i < 0 {
			length += int64(len(b))
			return len(b), false
		}
		length += int64(i)
		return i + 1, true
	})
	if length > int64(s.limit) {
		r.fault = faultTooLarge
	}
	return r, err
}

// skip consumes bytes without keeping them, buffer by buffer, until stop says that its count was the last.
func (s *scanner) skip(stop func(b []byte, at int64) (n int, last bool)) error {
	for {
		rest := s.buf[s.start:]
		n, last := stop(rest, s.offset)
		lines := int64(bytes.Count(rest[:n], newline))
		if s.eof && n == len(rest) && n > 0 && rest[n-1] != '\n' {
			lines++
		}
		s.consume(n, lines)
		if last || (s.eof && n == len(rest)) {
			return nil
		}
		if err := s.fill(); err != nil {
			return err
		}
	}
}

// consume moves past n bytes of the buffer, which hold so many line ends.
func (s *scanner) consume(n int, lines int64) {
	b := s.buf[s.start : s.start+n]
	s.sum = s.sum.add(b)
	s.ended = n > 0 && b[n-1] == '\n'
	s.start += n
	s.offset += int64(n)
	s.line += lines
}

// fill brings more of the file into the buffer, which is moved to its front and doubled when it is full.
func (s *scanner) fill() error {
	kept := copy(s.buf[:cap(s.buf)], s.buf[s.start:])
	s.base += int64(s.start)
	s.start = 0
	s.buf = s.buf[:kept]
	if kept > cap(s.buf)/2 {
		grown := make([]byte, kept, 2*cap(s.buf))
		copy(grown, s.buf)
		s.buf = grown
	}
	n, err := s.src.ReadAt(s.buf[kept:cap(s.buf)], s.base+int64(kept))
	s.buf = s.buf[:kept+n]
	if err != nil && err != io.EOF {
		return err
	}
	s.eof = err == io.EOF
	return s.tell(s.base + int64(len(s.buf)))
}

var newline = []byte{'\n'}

func trimCR(b []byte) []byte {
	if n := len(b); n > 0 && b[n-1] == '\r' {
		return b[:n-1]
	}
	return b
}

// The states of a machine.
const (
	atFieldStart = iota
	inField
	inQuotes
	afterQuote
	afterQuoteCR
)

// What a machine says of a record.
type verdict int

const (
	running verdict = iota
	complete
	broken
)

// machine finds the end of a record that may hold quotes; it can be fed piece by piece.
type machine struct {
	delim byte
	state int
}

// run returns how many bytes of b belong to the record, its line end included.
func (m *machine) run(b []byte) (int, verdict) {
	for i := 0; i < len(b); i++ {
		c := b[i]
		switch m.state {
		case inQuotes:
			j := bytes.IndexByte(b[i:], '"')
			if j < 0 {
				return len(b), running
			}
			i, m.state = i+j, afterQuote
		case atFieldStart, inField:
			switch {
			case c == '"' && m.state == atFieldStart:
				m.state = inQuotes
			case c == '"':
				return i, broken
			case c == '\n':
				return i + 1, complete
			case c == m.delim:
				m.state = atFieldStart
			default:
				m.state = inField
			}
		default: // afterQuote, afterQuoteCR
			switch {
			case c == '\n':
				return i + 1, complete
			case m.state == afterQuoteCR:
				return i, broken
			case c == '"':
				m.state = inQuotes
			case c == m.delim:
				m.state = atFieldStart
			case c == '\r':
				m.state = afterQuoteCR
			default:
				return i, broken
			}
		}
	}
	return len(b), running
}

// end is the verdict when the file ends here.
func (m *machine) end() verdict {
	if m.state == inQuotes {
		return broken
	}
	return complete
}
