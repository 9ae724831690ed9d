package wsspec

import (
	"bufio"
	"cmp"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"time"
	"unicode/utf8"
)

// conn is the client's end of one connection.
type conn struct {
	raw      net.Conn
	in       *bufio.Reader
	path     string
	patience time.Duration
	deflate  agreement
	out      deflater // what the client sends compressed
	window   inflater // what the server sends compressed
	ended    bool     // the server closed, and should have
	dial     func() (*conn, error)
}

func (target Target) connect(ctx context.Context) (*conn, error) {
	patience := cmp.Or(target.Patience, 10*time.Second)
	dialing, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	raw, err := target.Dial(dialing)
	if err != nil {
		return nil, fmt.Errorf("dial: %w", err)
	}
	return &conn{
		raw: raw, in: bufio.NewReaderSize(raw, 64<<10), path: cmp.Or(target.Path, "/"), patience: patience,
		dial: func() (*conn, error) { return target.connect(ctx) },
	}, nil
}

func (c *conn) write(b []byte) error {
	c.raw.SetWriteDeadline(time.Now().Add(c.patience))
	_, err := c.raw.Write(b)
	return err
}

// received is a message or a control frame.
type received struct {
	op      byte
	data    []byte
	pressed bool // RSV1 was set
}

func (r received) String() string {
	name := map[byte]string{opText: "text", opBinary: "binary", opClose: "close", opPing: "ping", opPong: "pong"}[r.op]
	if r.op == opClose && len(r.data) >= 2 {
		return fmt.Sprintf("close %d %q", binary.BigEndian.Uint16(r.data), r.data[2:])
	}
	return fmt.Sprintf("%s of %d bytes %s", name, len(r.data), excerpt(r.data))
}

func excerpt(b []byte) string {
	if len(b) > 32 {
		return fmt.Sprintf("%q…", b[:32])
	}
	return fmt.Sprintf("%q", b)
}

// next reads frames until a message is whole or a control frame comes; pending is what a message has so far.
func (c *conn) next() (received, error) {
	var message received
	for {
		first, payload, err := c.frame()
		if err != nil {
			return received{}, err
		}
		op := first & 0x0F
		if op >= opClose {
			// A server may put control frames between its fragments; none here has a reason to.
			if message.op != 0 {
				return received{}, errors.New("a control frame between the fragments of an echo")
			}
			return received{op: op, data: payload}, nil
		}
		if (op == opContinuation) != (message.op != 0) {
			return received{}, fmt.Errorf("opcode %d where the message before has ended: %t", op, message.op == 0)
		}
		if op != opContinuation {
			message = received{op: op, pressed: first&rsv1Bit != 0}
		}
		message.data = append(message.data, payload...)
		if first&finBit == 0 {
			continue
		}
		if message.pressed {
			if message.data, err = c.window.message(message.data); err != nil {
				return received{}, fmt.Errorf("what the server compressed: %w", err)
			}
		}
		if message.op == opText && !utf8.Valid(message.data) {
			return received{}, fmt.Errorf("a text message that isn't UTF-8: %s", excerpt(message.data))
		}
		return message, nil
	}
}

// frame reads one frame and checks it.
func (c *conn) frame() (first byte, payload []byte, err error) {
	c.raw.SetReadDeadline(time.Now().Add(c.patience))
	var h [10]byte
	if _, err := io.ReadFull(c.in, h[:2]); err != nil {
		return 0, nil, err
	}
	first, op := h[0], h[0]&0x0F
	length := uint64(h[1] & 0x7F)
	if h[1]&maskBit != 0 {
		return 0, nil, errors.New("a frame from the server is masked")
	}
	switch length {
	case 126:
		if _, err := io.ReadFull(c.in, h[2:4]); err != nil {
			return 0, nil, err
		}
		if length = uint64(binary.BigEndian.Uint16(h[2:4])); length < 126 {
			return 0, nil, fmt.Errorf("a length of %d in 16 bits", length)
		}
	case 127:
		if _, err := io.ReadFull(c.in, h[2:10]); err != nil {
			return 0, nil, err
		}
		if length = binary.BigEndian.Uint64(h[2:10]); length < 1<<16 || length > 1<<26 {
			return 0, nil, fmt.Errorf("a length of %d in 64 bits", length)
		}
	}
	if op > opBinary && op < opClose || op > opPong {
		return 0, nil, fmt.Errorf("opcode %d from the server", op)
	}
	if op >= opClose && (length > 125 || first&finBit == 0) {
		return 0, nil, fmt.Errorf("control frame %#x with %d bytes", first, length)
	}
	allowed := byte(0)
	if c.deflate.on && (op == opText || op == opBinary) {
		allowed = rsv1Bit
	}
	if first&0x70&^allowed != 0 {
		return 0, nil, fmt.Errorf("reserved bits in %#x, compression negotiated: %t", first, c.deflate.on)
	}
	payload = make([]byte, length)
	_, err = io.ReadFull(c.in, payload)
	return first, payload, err
}

// status returns the code of a close frame, 0 if it has none, and an error if it is not well-formed.
func (r received) status() (int, error) {
	switch {
	case r.op != opClose:
		return 0, fmt.Errorf("got %v, want a close frame", r)
	case len(r.data) == 0:
		return 0, nil
	case len(r.data) == 1:
		return 0, errors.New("a close frame of one byte")
	case !utf8.Valid(r.data[2:]):
		return 0, fmt.Errorf("a reason that isn't UTF-8: %q", r.data[2:])
	}
	code := int(binary.BigEndian.Uint16(r.data))
	if code < 1000 || code >= 5000 || code == 1004 || code == 1005 || code == 1006 || code == 1015 {
		return 0, fmt.Errorf("status code %d on the wire", code)
	}
	return code, nil
}

// end demands that the server ends the connection without another byte, in an orderly way.
func (c *conn) end() error {
	c.raw.SetReadDeadline(time.Now().Add(c.patience))
	b, err := c.in.ReadByte()
	if err == nil {
		return fmt.Errorf("byte %#x behind the close frame", b)
	}
	if !errors.Is(err, io.EOF) {
		return fmt.Errorf("behind the close frame, want the server to end the connection: %w", err)
	}
	c.ended = true
	return nil
}

// leave is an ordinary close handshake.
func (c *conn) leave() error {
	if err := c.write(closing(1000, "")); err != nil {
		return err
	}
	return c.closed(1000)
}

// closed demands a close frame with one of the codes, and the end of the connection by the server. 0 is no code.
func (c *conn) closed(codes ...int) error {
	r, err := c.next()
	if err != nil {
		return fmt.Errorf("want close %v: %w", codes, err)
	}
	got, err := r.status()
	if err != nil {
		return err
	}
	if slices.Contains(codes, got) {
		return c.end()
	}
	return fmt.Errorf("got %v, want %v", r, codes)
}
