package loadgen

import (
	"bytes"
	"fmt"
)

// parser looks at the beginnings of lines, which is all that counting takes. The zero value is ready for the first
// byte of the response.
type parser struct {
	line     [12]byte // its beginning
	n        uint8
	answered bool
}

// feed returns how many lines of data, and whether a position, are in the next bytes.
func (p *parser) feed(b []byte) (events int, opened bool, err error) {
	for len(b) > 0 {
		k := copy(p.line[p.n:], b)
		if end := bytes.IndexByte(b[:k], '\n'); end >= 0 {
			k = end
		}
		p.n += uint8(k)
		end := bytes.IndexByte(b, '\n')
		if end < 0 {
			return events, opened, nil
		}
		b = b[end+1:]
		start := p.line[:p.n]
		p.n = 0
		switch {
		case !p.answered:
			if !bytes.Equal(start, []byte("HTTP/1.1 200")) {
				return events, opened, fmt.Errorf("the answer begins with %q", start)
			}
			p.answered = true
		case bytes.HasPrefix(start, []byte("data:")):
			events++
		case bytes.HasPrefix(start, []byte("id:")):
			opened = true
		}
	}
	return events, opened, nil
}
