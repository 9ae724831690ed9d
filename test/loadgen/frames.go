package loadgen

import (
	"encoding/binary"
	"errors"
	"strconv"
)

// frame is how far the frames of a WebSocket have been read.
type frame struct {
	head   [10]byte
	n      uint8 // bytes of head that are there
	inside bool  // of a payload
	digits bool  // what comes next may belong to the number of the message
	opcode uint8 // of the message
	packed bool  // the message is compressed
	left   int   // bytes of the payload
	number int64
}

var errClosed = errors.New("the server sent a close frame")

// frames takes the next bytes of a WebSocket. A message counts when it is whole; one that is compressed can't be read, so
// its number is the next one.
func (p *parser) frames(b []byte) error {
	f := &p.frame
	for len(b) > 0 || f.inside && f.left == 0 {
		if !f.inside {
			f.head[f.n] = b[0]
			f.n++
			b = b[1:]
			if !f.begin() {
				continue
			}
		}
		n := min(f.left, len(b))
		if f.head[0]&0x08 == 0 {
			f.read(b[:n])
		}
		b, f.left = b[n:], f.left-n
		if f.left > 0 {
			continue
		}
		f.inside, f.n = false, 0
		switch op := f.head[0] & 0x0F; {
		case op == 8:
			return errClosed
		case op > 8 || f.head[0]&0x80 == 0:
		case f.packed:
			p.count(p.last + 1)
		default:
			p.count(f.number)
		}
	}
	return nil
}

// begin reports whether the head is whole, and then begins the payload.
func (f *frame) begin() bool {
	need := uint8(2)
	switch {
	case f.n >= 2 && f.head[1]&0x7F == 126:
		need = 4
	case f.n >= 2 && f.head[1]&0x7F == 127:
		need = 10
	}
	if f.n < need {
		return false
	}
	f.inside = true
	switch need {
	case 4:
		f.left = int(binary.BigEndian.Uint16(f.head[2:]))
	case 10:
		f.left = int(binary.BigEndian.Uint64(f.head[2:]))
	default:
		f.left = int(f.head[1] & 0x7F)
	}
	if op := f.head[0] & 0x0F; op == 1 || op == 2 {
		f.opcode, f.packed, f.digits, f.number = op, f.head[0]&0x40 != 0, true, 0
	}
	return true
}

// read takes a part of a payload and reads the number with which its message begins.
func (f *frame) read(b []byte) {
	for i := 0; f.digits && i < len(b); i++ {
		if f.digits = '0' <= b[i] && b[i] <= '9'; f.digits {
			f.number = f.number*10 + int64(b[i]-'0')
		}
	}
}

// said is a message to a server: a number, a space, and what it takes to be size bytes.
func said(number int64, size int) []byte {
	payload := append(strconv.AppendInt(nil, number, 10), ' ')
	for len(payload) < size {
		payload = append(payload, 'x')
	}
	b := []byte{0x81}
	switch n := len(payload); {
	case n < 126:
		b = append(b, 0x80|byte(n))
	case n < 1<<16:
		b = binary.BigEndian.AppendUint16(append(b, 0x80|126), uint16(n))
	default:
		b = binary.BigEndian.AppendUint64(append(b, 0x80|127), uint64(n))
	}
	key := [4]byte{0x37, 0xFA, 0x21, 0x3D}
	b = append(b, key[:]...)
	for i, c := range payload {
		b = append(b, c^key[i&3])
	}
	return b
}
