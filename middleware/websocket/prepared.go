package websocket

import (
	"context"
	"sync"

	"github.com/goceleris/celeris/internal/wsproto"
)

// PreparedMessage is a message that is framed, and compressed for each window that connections have agreed on, once, for
// any number of connections. It refers to no other message. It may be used by any number of goroutines.
type PreparedMessage struct {
	typ   MessageType
	data  []byte
	plain []byte
	mu    sync.Mutex // guards twins
	twins map[twin][]byte
}

// twin is a class of connections that the same compressed frame is for.
type twin struct{ bits, level int }

// Prepare makes a message that can be sent many times. It does not keep data. Errors: [ErrInvalidUTF8], [ErrMessageType].
func Prepare(t MessageType, data []byte) (*PreparedMessage, error) {
	if err := valid(t, data); err != nil {
		return nil, err
	}
	f := wsproto.Frame{Opcode: wsproto.Opcode(t), Fin: true}
	plain := wsproto.AppendFrame(make([]byte, 0, f.HeaderLen(len(data))+len(data)), f, data)
	return &PreparedMessage{typ: t, plain: plain, data: plain[len(plain)-len(data):]}, nil
}

// Type is the message's type.
func (m *PreparedMessage) Type() MessageType { return m.typ }

// Bytes is the message as it was given to [Prepare]. It must not be changed.
func (m *PreparedMessage) Bytes() []byte { return m.data }

// frame returns the message for connections with a window; the plain one if compressing makes it no smaller.
func (m *PreparedMessage) frame(bits, level int) []byte {
	m.mu.Lock()
	defer m.mu.Unlock()
	k := twin{bits, level}
	if b, ok := m.twins[k]; ok {
		return b
	}
	z := wsproto.AppendDeflate(nil, m.data, nil, bits, level)
	b := m.plain
	if len(z) < len(m.data) {
		f := wsproto.Frame{Opcode: wsproto.Opcode(m.typ), Fin: true, Compressed: true}
		b = wsproto.AppendFrame(make([]byte, 0, f.HeaderLen(len(z))+len(z)), f, z)
	}
	if m.twins == nil {
		m.twins = make(map[twin][]byte)
	}
	m.twins[k] = b
	return b
}

// SendPrepared is [Conn.Send] for a prepared message. A connection whose messages refer to earlier ones gets it as it is,
// without compression.
func (c *Conn) SendPrepared(m *PreparedMessage) (Outcome, error) {
	if c.cfg.client { // every frame has a key of its own
		return c.send(m.typ, m.data)
	}
	frame := m.plain
	if c.out.deflate && !c.out.takeover && len(m.data) >= c.cfg.Compression.Threshold {
		frame = m.frame(int(c.out.bits), c.cfg.Compression.Level)
	}
	if c.manned != nil {
		if sent, tried, err := c.pipe.try(frame); tried {
			return outcome(sent, err)
		}
	}
	return c.sendFrame(frame)
}

// WritePreparedMessage is [Conn.WriteMessage] for a prepared message.
func (c *Conn) WritePreparedMessage(ctx context.Context, m *PreparedMessage) error {
	return c.wait(ctx, func() error {
		_, err := c.SendPrepared(m)
		return err
	})
}
