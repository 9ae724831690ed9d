package websocket

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"unicode/utf8"

	"github.com/goceleris/celeris/internal/fanout"
	"github.com/goceleris/celeris/internal/wsproto"
)

// Outcome is what became of a message.
type Outcome int

// Outcomes.
const (
	// Dropped means that the message is not sent; the error says why.
	Dropped Outcome = iota
	// Buffered means that the message waits for the connection to take it.
	Buffered
	// Sent means that the connection has taken the message. Whether it reaches the peer nobody knows.
	Sent
)

// output is the writing side of a connection.
type output struct {
	deflate  bool
	takeover bool
	bits     uint8
	context  *deflateContext // with takeover
}

// deflateContext is what messages refer to that are compressed with takeover.
type deflateContext struct {
	mu     sync.Mutex // guards window, and the order of messages
	window wsproto.Window
}

// newKey makes a masking key. The generator is seeded by the system and can't be predicted, RFC 6455 5.3.
func newKey() uint32 { return rand.Uint32() } //nolint:gosec // ChaCha8

// Send sends a message and never waits. It does not keep data. If as much waits already as may, the message is dropped
// with [ErrBacklog]. Other errors: [ErrClosed], [ErrInvalidUTF8], [ErrMessageType].
func (c *Conn) Send(t MessageType, data []byte) (Outcome, error) {
	if err := valid(t, data); err != nil {
		return Dropped, err
	}
	return c.send(t, data)
}

func valid(t MessageType, data []byte) error {
	switch {
	case t == TextMessage && !utf8.Valid(data):
		return ErrInvalidUTF8
	case t != TextMessage && t != BinaryMessage:
		return ErrMessageType
	}
	return nil
}

// WriteMessage is [Conn.Send] that waits for room, as long as ctx lets it and the connection lasts. With nil the message is
// sent or waits for the connection.
func (c *Conn) WriteMessage(ctx context.Context, t MessageType, data []byte) error {
	if err := valid(t, data); err != nil {
		return err
	}
	return c.wait(ctx, func() error {
		_, err := c.send(t, data)
		return err
	})
}

// wait tries until there is room.
func (c *Conn) wait(ctx context.Context, try func() error) error {
	err := try()
	if !errors.Is(err, ErrBacklog) {
		return err
	}
	defer c.member.PassRoom()
	for {
		select {
		case <-c.member.Room():
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-c.finished():
			return ErrClosed
		}
		if err := try(); !errors.Is(err, ErrBacklog) {
			return err
		}
	}
}

// send frames a message and sends it.
func (c *Conn) send(t MessageType, data []byte) (Outcome, error) {
	if c.out.deflate && len(data) >= c.cfg.Compression.Threshold {
		if c.out.takeover {
			return c.sendInContext(t, data)
		}
		buf := buffers.Get().(*[]byte)
		defer buffers.Put(buf)
		z := wsproto.AppendDeflate((*buf)[:0], data, nil, int(c.out.bits), c.cfg.Compression.Level)
		if cap(z) <= 4*piece {
			*buf = z[:0]
		}
		if len(z) < len(data) {
			return c.frame(c.header(t, true), z)
		}
	}
	return c.frame(c.header(t, false), data)
}

// sendInContext is send where the peer's context goes on with this message, so that it must not be lost.
func (c *Conn) sendInContext(t MessageType, data []byte) (Outcome, error) {
	if c.manned == nil { // a shard sends
		return outcome(false, c.enqueue(t, data))
	}
	claimed := c.pipe.claim()
	err := c.enqueue(t, data)
	sent := claimed && c.pipe.run()
	return outcome(sent, err)
}

func (c *Conn) enqueue(t MessageType, data []byte) error {
	in := c.out.context
	in.mu.Lock()
	defer in.mu.Unlock()
	f := c.header(t, true)
	z := wsproto.AppendDeflate(make([]byte, wsproto.MaxHeader), data, in.window.Bytes(), int(c.out.bits), c.cfg.Compression.Level)
	n := len(z) - wsproto.MaxHeader
	frame := z[wsproto.MaxHeader-f.HeaderLen(n):]
	f.AppendHeader(frame[:0], n)
	if f.Masked {
		wsproto.Mask(f.Key, z[wsproto.MaxHeader:])
	}
	if err := c.member.Send(frame); err != nil {
		return err
	}
	in.window.Keep(data, int(c.out.bits))
	return nil
}

func (c *Conn) header(t MessageType, compressed bool) wsproto.Frame {
	f := wsproto.Frame{Opcode: wsproto.Opcode(t), Fin: true, Compressed: compressed, Masked: c.cfg.client}
	if f.Masked {
		f.Key = newKey()
	}
	return f
}

// frame sends one frame. It does not keep payload.
func (c *Conn) frame(f wsproto.Frame, payload []byte) (Outcome, error) {
	if n := f.HeaderLen(len(payload)) + len(payload); n <= piece && c.manned != nil && c.pipe.raw != nil {
		buf := buffers.Get().(*[]byte)
		b := wsproto.AppendFrame((*buf)[:0], f, payload)
		sent, tried, err := c.pipe.try(b)
		*buf = b[:0]
		buffers.Put(buf)
		if tried {
			return outcome(sent, err)
		}
	}
	if n := f.HeaderLen(len(payload)) + len(payload); n > piece && n <= wide && c.manned != nil && c.pipe.raw != nil {
		b := wsproto.AppendFrame(takeBuffer(n), f, payload)
		if sent, tried, err := c.pipe.try(b); tried {
			giveBuffer(b)
			return outcome(sent, err)
		}
		return c.sendFrame(b)
	}
	return c.sendFrame(wsproto.AppendFrame(make([]byte, 0, f.HeaderLen(len(payload))+len(payload)), f, payload))
}

// sendFrame queues a frame, which is kept.
func (c *Conn) sendFrame(frame []byte) (Outcome, error) {
	if c.manned == nil { // a shard sends
		return outcome(false, c.member.Send(frame))
	}
	return outcome(c.pipe.queue(frame))
}

func outcome(sent bool, err error) (Outcome, error) {
	switch {
	case errors.Is(err, fanout.ErrQueueFull):
		return Dropped, ErrBacklog
	case err != nil:
		return Dropped, ErrClosed
	case sent:
		return Sent, nil
	}
	return Buffered, nil
}

// BufferedAmount is how many bytes wait for the connection.
func (c *Conn) BufferedAmount() int {
	if c.manned == nil {
		return c.member.Queued()
	}
	return c.pipe.buffered()
}

// Drained returns a channel that is closed when the connection has taken all that was sent, or takes no more.
func (c *Conn) Drained() <-chan struct{} {
	if c.manned == nil {
		return c.member.Drained()
	}
	return c.pipe.whenDrained()
}

// Flush waits until the connection has taken all that was sent. It returns the cause of ctx if that ends first.
func (c *Conn) Flush(ctx context.Context) error {
	select {
	case <-c.Drained():
		if c.BufferedAmount() > 0 {
			return ErrClosed
		}
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
