package websocket

import (
	"context"
	"errors"
	"io"
	"os"
	"sync"
	"time"

	"github.com/goceleris/celeris/internal/wsproto"
)

const inputSize = 4 << 10

// input is the reading side of a connection.
type input struct {
	turn chan struct{} // holds a token while somebody reads

	mu  sync.Mutex // guards err
	err error      // why nothing is read any more

	// For whose turn it is.
	parser   wsproto.Parser
	inflater wsproto.Inflater
	limit    int64
	buf      []byte
	r, w     int // what was read and not parsed is buf[r:w]
	msg      assembly
	stream   *messageReader // the message that NextReader has begun
}

// assembly is a message in the making.
type assembly struct {
	begun      bool
	compressed bool
	text       wsproto.UTF8
	typ        MessageType
	data       []byte
}

func (in *input) init(cfg *settings, early []byte) {
	in.turn = make(chan struct{}, 1)
	in.parser = wsproto.Parser{FromServer: cfg.client, Limit: cfg.ReadLimit}
	in.limit = cfg.ReadLimit
	in.buf = make([]byte, max(inputSize, len(early)))
	in.w = copy(in.buf, early)
}

// fail makes err what reads return from here on, and reports whether it was the first.
func (in *input) fail(err error) bool {
	in.mu.Lock()
	defer in.mu.Unlock()
	if in.err != nil {
		return false
	}
	in.err = err
	return true
}

// failure is why nothing is read any more, or nil.
func (in *input) failure() error {
	in.mu.Lock()
	defer in.mu.Unlock()
	return in.err
}

// lock waits for the caller's turn to read.
func (c *Conn) lock(ctx context.Context) error {
	if c.in == nil {
		return ErrCallbacks
	}
	select {
	case c.in.turn <- struct{}{}:
		return nil
	default:
	}
	select {
	case c.in.turn <- struct{}{}:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func (c *Conn) unlock() { <-c.in.turn }

// ReadMessage waits for the next message; the caller may keep what it returns. When ctx ends first it returns its cause,
// and the connection stays as it is: what has come of the message is kept for the next call.
//
// Any other error is final: a [*CloseError] when the peer has closed, a [*ProtocolError] when it broke the protocol or sent
// more than the ReadLimit ([ErrMessageTooBig]), and else the reason for which the connection ended.
func (c *Conn) ReadMessage(ctx context.Context) (MessageType, []byte, error) {
	if err := c.lock(ctx); err != nil {
		return 0, nil, err
	}
	defer c.unlock()
	if err := c.skip(ctx); err != nil {
		return 0, nil, err
	}
	m := &c.in.msg
	for {
		whole, err := c.gather(ctx)
		if err != nil {
			return 0, nil, err
		}
		if !whole {
			ev, err := c.next(ctx)
			if err != nil {
				return 0, nil, err
			}
			if err := c.add(ev); err != nil {
				return 0, nil, err
			}
			if !ev.Last {
				continue
			}
		}
		data, err := c.inflate(m)
		if err != nil {
			return 0, nil, err
		}
		typ := m.typ
		*m = assembly{}
		return typ, data, nil
	}
}

// add puts a piece behind those before it.
func (c *Conn) add(ev wsproto.Event) error {
	m := &c.in.msg
	if ev.First {
		*m = assembly{begun: true, typ: MessageType(ev.Opcode), compressed: ev.Compressed}
	}
	if err := c.check(m, ev.Payload, ev.Last); err != nil {
		return err
	}
	if m.data == nil {
		m.data = make([]byte, 0, len(ev.Payload))
	}
	m.data = append(m.data, ev.Payload...)
	return nil
}

// check validates a piece of text; that of a compressed message is not text yet.
func (c *Conn) check(m *assembly, p []byte, last bool) error {
	if m.typ != TextMessage || m.compressed {
		return nil
	}
	if !m.text.Valid(p) || last && !m.text.Complete() {
		return c.violated(wsproto.ErrText)
	}
	return nil
}

// inflate returns what a whole message stands for.
func (c *Conn) inflate(m *assembly) ([]byte, error) {
	if !m.compressed {
		return m.data, nil
	}
	data, err := c.in.inflater.Append(nil, m.data, c.in.limit)
	if err != nil {
		return nil, c.violated(err)
	}
	m.compressed = false
	if err := c.check(m, data, true); err != nil {
		return nil, err
	}
	return data, nil
}

// gather reads the rest of a large frame straight to where it is wanted. whole means that it was the message's last.
func (c *Conn) gather(ctx context.Context) (whole bool, err error) {
	in, m := c.in, &c.in.msg
	for m.begun && in.r == in.w && in.parser.Pending() >= int64(len(in.buf)) {
		if len(m.data) == cap(m.data) {
			grown := make([]byte, len(m.data), max(int(min(in.parser.Pending()+int64(len(m.data)), 64<<10)), 2*len(m.data)))
			copy(grown, m.data)
			m.data = grown
		}
		room := m.data[len(m.data):cap(m.data)]
		room = room[:min(int64(len(room)), in.parser.Pending())]
		n, err := c.fill(ctx, room)
		if err != nil {
			return false, err
		}
		ev, _, err := in.parser.Next(room[:n])
		if err != nil {
			return false, c.violated(err)
		}
		if err := c.check(m, ev.Payload, ev.Last); err != nil {
			return false, err
		}
		if m.data = m.data[:len(m.data)+n]; ev.Last {
			return true, nil
		}
	}
	return false, nil
}

// next returns the next piece of a message. Control frames before it are dealt with.
func (c *Conn) next(ctx context.Context) (wsproto.Event, error) {
	in := c.in
	for {
		if err := in.failure(); err != nil {
			return wsproto.Event{}, err
		}
		for in.r < in.w || in.parser.Pending() == 0 {
			ev, n, err := in.parser.Next(in.buf[in.r:in.w])
			in.r += n
			if err != nil {
				return wsproto.Event{}, c.violated(err)
			}
			if ev.Kind == wsproto.Data {
				return ev, nil
			}
			if ev.Kind == wsproto.More {
				break
			}
			if err := c.control(ev); err != nil {
				return wsproto.Event{}, err
			}
		}
		n, err := c.fill(ctx, in.buf)
		if err != nil {
			return wsproto.Event{}, err
		}
		in.r, in.w = 0, n
	}
}

// fill reads what comes next.
func (c *Conn) fill(ctx context.Context, p []byte) (n int, err error) {
	stop := c.interruptible(ctx)
	c.waiting.Store(time.Now().UnixNano())
	n, err = c.nc.Read(p)
	c.waiting.Store(0)
	ended := stop()
	if n > 0 {
		c.heard.Store(time.Now().UnixNano())
		return n, nil
	}
	if err == nil {
		err = io.ErrNoProgress
	}
	if ended && errors.Is(err, os.ErrDeadlineExceeded) {
		return 0, context.Cause(ctx)
	}
	err = gone(err)
	if c.in.fail(err) {
		c.cut(err)
	}
	return 0, c.in.failure()
}

// interruptible makes reads fail when ctx ends, until the returned function is called, which reports whether it did.
func (c *Conn) interruptible(ctx context.Context) (stop func() bool) {
	if ctx.Done() == nil || ctx == c.Context() {
		return never
	}
	done := make(chan struct{})
	off := context.AfterFunc(ctx, func() {
		defer close(done)
		_ = c.nc.SetReadDeadline(time.Unix(1, 0))
	})
	return func() bool {
		if off() {
			return false
		}
		<-done
		_ = c.nc.SetReadDeadline(time.Time{})
		return true
	}
}

func never() bool { return false }

// control deals with a control frame.
func (c *Conn) control(ev wsproto.Event) error {
	switch ev.Opcode {
	case wsproto.Ping:
		c.pipe.answer(ev.Payload)
	case wsproto.Pong:
		c.ping.answered(ev.Payload)
	default:
		code, text, err := wsproto.ParseClose(ev.Payload)
		if err != nil {
			return c.violated(err)
		}
		return c.closed(&CloseError{Code: code, Reason: text})
	}
	return nil
}

// closed answers the peer's close frame: RFC 6455 5.5.1 has its code echoed.
func (c *Conn) closed(e *CloseError) error {
	c.mu.Lock()
	if c.closing != nil {
		e = c.closing
	}
	c.mu.Unlock()
	c.in.fail(e)
	c.shut(&CloseError{Code: e.Code}, e)
	c.cancel(e)
	return c.in.failure()
}

// violated closes a connection whose peer broke the protocol.
func (c *Conn) violated(err error) error {
	e, ok := errors.AsType[*ProtocolError](err)
	if !ok {
		return err
	}
	c.in.fail(e)
	c.shut(&CloseError{Code: e.Code, Reason: e.Reason, Local: true}, e)
	c.cancel(e)
	return c.in.failure()
}
