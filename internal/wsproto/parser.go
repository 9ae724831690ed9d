package wsproto

import (
	"encoding/binary"
	"math"
)

// Kind is what [Parser.Next] found.
type Kind uint8

// Kinds.
const (
	// More means that all input is consumed and more is needed.
	More Kind = iota
	// Data is a piece of a message's payload, perhaps an empty one.
	Data
	// Control is a whole control frame.
	Control
)

// Event is what a [Parser] found in its input.
type Event struct {
	Kind Kind
	// Opcode is Text or Binary for a piece of a message, whichever frame it is in, and the frame's own else.
	Opcode Opcode
	// Payload is unmasked. That of a piece aliases the input; that of a control frame is valid until the next call.
	Payload []byte
	// First says that the piece is the first of its message, Last that it is the last.
	First, Last bool
	// Compressed says that the payload of the message is deflated.
	Compressed bool
}

// Parser takes the frames of one direction of a connection apart. Its zero value reads a client's frames, without
// compression and without a limit. After an error it stays at that error.
type Parser struct {
	// Limit bounds the payload of a message in bytes, as it is on the wire; that of a compressed one is bounded with some
	// room, since it may be longer than what it stands for. Zero means no bound.
	Limit int64
	// FromServer says that the peer is a server, whose frames are not masked.
	FromServer bool
	// Deflate says that permessage-deflate was negotiated.
	Deflate bool

	message bool // within a message
	deflate bool // and it is compressed
	fin     bool
	first   bool  // nothing of the message was yielded
	payload bool  // within a frame's payload
	need    uint8 // bytes that the header has, as far as known
	got     uint8 // of them in head
	ctlLen  uint8
	op      Opcode // of the message
	frame   Opcode // of the frame
	head    [MaxHeader]byte
	key     uint32
	err     *Error
	ctl     *[MaxControl]byte // of a control frame that came in pieces
	left    int64             // of the payload of the frame
	size    int64             // payload of the message, announced so far
}

// Next takes what it can from in and returns what it found, and how many bytes it consumed. A piece of a message ends
// with in at the latest. in is changed where it is masked.
func (p *Parser) Next(in []byte) (ev Event, n int, err error) {
	if p.err != nil {
		return Event{}, 0, p.err
	}
	if !p.payload {
		if n, err = p.header(in); err != nil || !p.payload {
			return Event{}, n, err
		}
	}
	rest := in[n:]
	if int64(len(rest)) > p.left {
		rest = rest[:p.left]
	}
	if p.frame.Control() {
		return p.control(rest, n)
	}
	if len(rest) == 0 && p.left > 0 {
		return Event{}, n, nil
	}
	p.take(rest)
	ev = Event{
		Kind: Data, Opcode: p.op, Payload: rest, First: p.first, Compressed: p.deflate, Last: p.fin && p.left == 0,
	}
	p.first = false
	if p.left == 0 {
		p.payload = false
		p.message = !p.fin
	}
	return ev, n + len(rest), nil
}

// Pending is how many bytes of payload are missing of the data frame that the parser is in: as many may be read straight
// to where they are wanted, and be given to Next there.
func (p *Parser) Pending() int64 {
	if !p.payload || p.frame.Control() {
		return 0
	}
	return p.left
}

// Between reports whether the parser is between two messages, with nothing begun.
func (p *Parser) Between() bool { return p.err == nil && !p.message && !p.payload && p.got == 0 }

// take unmasks a piece of the frame.
func (p *Parser) take(b []byte) {
	if !p.FromServer {
		p.key = Mask(p.key, b)
	}
	p.left -= int64(len(b))
}

// control takes a piece of a control frame.
func (p *Parser) control(rest []byte, n int) (Event, int, error) {
	p.take(rest)
	n += len(rest)
	if p.ctlLen > 0 || p.left > 0 {
		if len(rest) > 0 {
			if p.ctl == nil {
				p.ctl = new([MaxControl]byte)
			}
			p.ctlLen += uint8(copy(p.ctl[p.ctlLen:], rest))
		}
		if p.left > 0 {
			return Event{}, n, nil
		}
		rest = p.ctl[:p.ctlLen]
	}
	p.payload, p.ctlLen, p.ctl = false, 0, nil
	return Event{Kind: Control, Opcode: p.frame, Payload: rest, First: true, Last: true}, n, nil
}

// header takes the bytes of a frame's header, and refuses it as soon as it can be told.
func (p *Parser) header(in []byte) (n int, err error) {
	for n < len(in) {
		c := in[n]
		n++
		p.head[p.got] = c
		p.got++
		switch p.got {
		case 1:
			err = p.begin(c)
		case 2:
			err = p.length(c)
		case 3:
			if p.head[1]&lenBits == 127 && c&0x80 != 0 {
				err = p.fail(errLength)
			}
		}
		if err == nil && p.got > 1 && p.got == p.need-p.keyLen() {
			err = p.announce()
		}
		if err != nil {
			return n, err
		}
		if p.got > 1 && p.got == p.need {
			p.complete()
			return n, nil
		}
	}
	return n, nil
}

// keyLen is how many bytes of a header are the masking key.
func (p *Parser) keyLen() uint8 {
	if p.FromServer {
		return 0
	}
	return 4
}

// fail makes e the parser's error.
func (p *Parser) fail(e *Error) error {
	p.err = e
	return e
}

// begin checks the first byte of a frame.
func (p *Parser) begin(c byte) error {
	op, fin := Opcode(c&opBits), c&finBit != 0
	switch op {
	case Continuation:
		if !p.message {
			return p.fail(errContinuation)
		}
	case Text, Binary:
		if p.message {
			return p.fail(errInterleaved)
		}
	case Close, Ping, Pong:
		if !fin {
			return p.fail(errFragmented)
		}
	default:
		return p.fail(errOpcode)
	}
	rsv := c & rsvBits
	if p.Deflate && (op == Text || op == Binary) {
		rsv &^= rsv1Bit // RFC 7692 6: on the first frame only
	}
	if rsv != 0 {
		return p.fail(errReserved)
	}
	p.frame = op
	if !op.Control() {
		p.fin = fin
	}
	return nil
}

// length checks the second byte.
func (p *Parser) length(c byte) error {
	if masked := c&maskBit != 0; masked == p.FromServer {
		if masked {
			return p.fail(errMasked)
		}
		return p.fail(errUnmasked)
	}
	p.need = 2 + p.keyLen()
	switch n := c & lenBits; {
	case n > MaxControl && p.frame.Control():
		return p.fail(errControlSize)
	case n == 126:
		p.need += 2
	case n == 127:
		p.need += 8
	}
	return nil
}

// announce checks the length of a frame.
func (p *Parser) announce() error {
	n := uint64(p.head[1] & lenBits)
	switch n {
	case 126:
		if n = uint64(binary.BigEndian.Uint16(p.head[2:])); n <= MaxControl {
			return p.fail(errNotMinimal)
		}
	case 127:
		if n = binary.BigEndian.Uint64(p.head[2:]); n <= 0xFFFF {
			return p.fail(errNotMinimal)
		}
	}
	p.left = int64(n)
	if p.frame.Control() {
		return nil
	}
	if p.frame != Continuation {
		p.op, p.size, p.first, p.deflate = p.frame, 0, true, p.head[0]&rsv1Bit != 0
		p.message = true
	}
	if p.Limit > 0 && n > uint64(p.bound()-p.size) {
		return p.fail(ErrTooBig)
	}
	p.size += p.left
	return nil
}

// complete begins with the frame's payload.
func (p *Parser) complete() {
	if !p.FromServer {
		p.key = binary.LittleEndian.Uint32(p.head[p.need-4:])
	}
	p.got, p.payload = 0, true
}

// bound is Limit for the message at hand. Stored blocks, and flushes between them, make deflated data longer.
func (p *Parser) bound() int64 {
	if p.deflate && p.Limit < math.MaxInt64/2 {
		return p.Limit + p.Limit/8 + 1024
	}
	return p.Limit
}
