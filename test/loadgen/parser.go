package loadgen

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"
)

// parser counts the events of one response. It looks at the beginnings of lines, which is all that counting takes. The
// zero value is ready for the first byte of the response.
type parser struct {
	line     [26]byte // the beginning of a line: as long as the head's longest that matters
	n        uint8
	state    state
	chunked  bool
	chunk    chunk
	numbered bool // events begin with a number
	socket   bool // it is a WebSocket
	frame    frame

	opened     bool  // a position came
	events     int32 // lines of data; of a numbered stream, those with a number
	last       int64 // the highest number
	missing    int64 // numbers that were passed over, behind the first one
	duplicates int64 // numbers that came again, or late
	notices    int64 // lines of data without a number, in a numbered stream
}

// state is how far a response has got.
type state uint8

const (
	inStatus state = iota
	inHead
	inBody
)

// chunk is where in a chunked body the next byte is.
type chunk struct {
	left int  // bytes of data in the current chunk
	size int  // what has been read of the size line
	tail bool // the line end behind the data comes next
	ext  bool // the rest of the size line means nothing
}

var errEnd = errors.New("the response is complete")

// feed takes the next bytes.
func (p *parser) feed(b []byte) error {
	for len(b) > 0 && p.state != inBody {
		var start []byte
		if start, b = p.cut(b); start == nil {
			return nil
		}
		if err := p.head(start); err != nil {
			return err
		}
	}
	if p.socket {
		return p.frames(b)
	}
	if !p.chunked {
		p.body(b)
		return nil
	}
	for len(b) > 0 {
		if p.chunk.left > 0 {
			n := min(p.chunk.left, len(b))
			p.body(b[:n])
			p.chunk.left -= n
			p.chunk.tail = p.chunk.left == 0
			b = b[n:]
			continue
		}
		if err := p.chunk.step(b[0]); err != nil {
			return err
		}
		b = b[1:]
	}
	return nil
}

// cut returns the beginning of the first line, nil if it doesn't end in b, and what is behind it.
func (p *parser) cut(b []byte) (start, rest []byte) {
	end := bytes.IndexByte(b, '\n')
	k := end
	if end < 0 {
		k = len(b)
	}
	p.n += uint8(copy(p.line[p.n:], b[:k]))
	if end < 0 {
		return nil, nil
	}
	start = p.line[:p.n]
	p.n = 0
	return start, b[end+1:]
}

func (p *parser) head(start []byte) error {
	switch {
	case p.state == inStatus:
		want := "HTTP/1.1 200"
		if p.socket {
			want = "HTTP/1.1 101"
		}
		if !bytes.HasPrefix(start, []byte(want)) {
			return fmt.Errorf("the answer begins with %q", start)
		}
		p.state = inHead
	case len(start) == 0 || start[0] == '\r':
		p.state = inBody
	case bytes.HasPrefix(bytes.ToLower(start), []byte("transfer-encoding: chunked")):
		p.chunked = true
	}
	return nil
}

func (p *parser) body(b []byte) {
	for len(b) > 0 {
		var start []byte
		start, b = p.cut(b)
		switch {
		case start == nil:
		case bytes.HasPrefix(start, []byte("data:")):
			p.event(start[len("data:"):])
		case bytes.HasPrefix(start, []byte("id:")):
			p.opened = true
		}
	}
}

func (p *parser) event(data []byte) {
	if !p.numbered {
		p.events++
		return
	}
	data = bytes.TrimPrefix(data, []byte(" "))
	var number int64
	digits := 0
	for digits < len(data) && '0' <= data[digits] && data[digits] <= '9' {
		number = number*10 + int64(data[digits]-'0')
		digits++
	}
	if digits == 0 {
		p.notices++
		return
	}
	p.count(number)
}

// count takes the number of an event.
func (p *parser) count(number int64) {
	p.events++
	if number <= p.last {
		p.duplicates++
		return
	}
	if p.events > 1 {
		p.missing += number - p.last - 1
	}
	p.last = number
}

// step takes one byte of what is between the data of two chunks.
func (c *chunk) step(b byte) error {
	switch {
	case b == '\r':
	case b == '\n':
		if c.tail {
			c.tail = false
			return nil
		}
		if c.size == 0 {
			return errEnd
		}
		c.left, c.size, c.ext = c.size, 0, false
	case c.tail:
		return fmt.Errorf("%q behind the data of a chunk", b)
	case b == ';':
		c.ext = true
	case !c.ext:
		digit, err := strconv.ParseUint(string(rune(b)), 16, 8)
		if err != nil || c.size > 1<<24 {
			return fmt.Errorf("%q in the size of a chunk", b)
		}
		c.size = c.size<<4 | int(digit)
	}
	return nil
}
