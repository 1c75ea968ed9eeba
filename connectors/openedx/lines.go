package openedx

import (
	"bufio"
	"bytes"
	"io"
)

const readBuffer = 256 << 10 // bytes

// lines cuts a log into lines. It holds at most limit bytes of a line plus one buffer.
type lines struct {
	from   *bufio.Reader
	limit  int
	offset int64 // of the next line, in the log's uncompressed bytes
	tail   tail  // of what was read, for logFile
	long   []byte
}

// line is valid until the next one is read.
type line struct {
	text     []byte // without its line end; cut after limit bytes if tooLarge
	offset   int64  // of its first byte
	size     int64  // with its line end
	tooLarge bool
	ended    bool // it has a line end
}

func newLines(from io.Reader, offset int64, before tail, limit int) *lines {
	return &lines{from: bufio.NewReaderSize(from, readBuffer), limit: limit, offset: offset, tail: before}
}

// next returns the next line. io.EOF comes after the last; any other error means that the log cannot be read further,
// and the line that it interrupts is not returned.
func (l *lines) next() (line, error) {
	n := line{offset: l.offset}
	part, err := l.from.ReadSlice('\n')
	if err == bufio.ErrBufferFull {
		part, err = l.rest(part, &n)
	} else {
		n.size = int64(len(part))
		l.tail.add(part)
	}
	if err != nil && err != io.EOF {
		return line{}, err
	}
	if n.size == 0 {
		return line{}, io.EOF
	}
	n.text, n.ended = bytes.CutSuffix(part, []byte{'\n'})
	if len(n.text) > l.limit {
		n.text, n.tooLarge = n.text[:l.limit], true
	}
	l.offset += n.size
	return n, nil
}

// rest collects a line that does not fit the buffer; what exceeds the limit is counted only.
func (l *lines) rest(part []byte, n *line) ([]byte, error) {
	l.long = l.long[:0]
	for {
		n.size += int64(len(part))
		l.tail.add(part)
		if room := l.limit + 1 - len(l.long); room > 0 {
			l.long = append(l.long, part[:min(room, len(part))]...)
		}
		ended := bytes.HasSuffix(part, []byte{'\n'})
		if ended && l.long[len(l.long)-1] != '\n' {
			l.long = append(l.long, '\n') // the end of a line that was cut
		}
		if ended {
			return l.long, nil
		}
		var err error
		if part, err = l.from.ReadSlice('\n'); err != nil && err != bufio.ErrBufferFull {
			if err != io.EOF || len(part) == 0 {
				return l.long, err
			}
		}
	}
}
