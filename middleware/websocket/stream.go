package websocket

import (
	"bytes"
	"context"
	"io"
	"iter"

	"github.com/goceleris/celeris/internal/wsproto"
)

// messageReader reads one message as it comes.
type messageReader struct {
	c     *Conn
	ctx   context.Context
	msg   assembly
	piece []byte // aliases the connection's buffer
	size  int64  // what came out, of a compressed message
	last  bool
	err   error
}

// NextReader waits for the next message and returns a reader of it, which is good until the next read of the connection
// begins: what is left of the message is discarded then. ctx also bounds what that reader waits for; it fails with its
// cause then, and goes on if the caller does with ReadMessage or NextReader. Errors are those of [Conn.ReadMessage].
//
// A compressed message is collected before its reader is returned, and inflated as it is read.
func (c *Conn) NextReader(ctx context.Context) (MessageType, io.Reader, error) {
	if err := c.lock(ctx); err != nil {
		return 0, nil, err
	}
	defer c.unlock()
	if err := c.skip(ctx); err != nil {
		return 0, nil, err
	}
	for {
		ev, err := c.next(ctx)
		if err != nil {
			return 0, nil, err
		}
		m := &c.in.msg
		if ev.Compressed || m.begun { // ReadMessage may have begun it
			if err := c.add(ev); err != nil {
				return 0, nil, err
			}
			if m.compressed && !ev.Last {
				continue
			}
		} else {
			*m = assembly{typ: MessageType(ev.Opcode)}
			if err := c.check(m, ev.Payload, ev.Last); err != nil {
				return 0, nil, err
			}
		}
		r := &messageReader{c: c, ctx: ctx, msg: *m, piece: ev.Payload, last: ev.Last}
		if m.begun {
			if r.piece = m.data; m.compressed {
				c.in.inflater.Open(m.data)
			}
		}
		*m = assembly{}
		c.in.stream = r
		return r.msg.typ, r, nil
	}
}

// Read implements [io.Reader].
func (r *messageReader) Read(p []byte) (int, error) {
	c := r.c
	if err := c.lock(r.ctx); err != nil {
		return 0, err
	}
	defer c.unlock()
	switch {
	case r.err != nil:
		return 0, r.err
	case c.in.stream != r:
		return 0, ErrReaderStale
	case len(p) == 0:
		return 0, nil
	case r.msg.compressed:
		return r.inflated(p)
	}
	for len(r.piece) == 0 {
		if r.last {
			return 0, r.end(io.EOF)
		}
		if err := r.more(r.ctx); err != nil {
			return 0, err
		}
	}
	n := copy(p, r.piece)
	r.piece = r.piece[n:]
	return n, nil
}

// more takes the next piece.
func (r *messageReader) more(ctx context.Context) error {
	ev, err := r.c.next(ctx)
	if err != nil {
		return err
	}
	r.piece, r.last = ev.Payload, ev.Last
	return r.c.check(&r.msg, ev.Payload, ev.Last)
}

// inflated reads from a compressed message.
func (r *messageReader) inflated(p []byte) (int, error) {
	in := r.c.in
	n, err := in.inflater.Read(p)
	r.size += int64(n)
	switch {
	case r.size > in.limit:
		err = wsproto.ErrTooBig
	case r.msg.typ == TextMessage && (!r.msg.text.Valid(p[:n]) || err == io.EOF && !r.msg.text.Complete()): //nolint:errorlint // Read returns it bare
		err = wsproto.ErrText
	case err == nil:
		return n, nil
	}
	if err == io.EOF { //nolint:errorlint // see above
		return 0, r.end(io.EOF)
	}
	return 0, r.end(r.c.violated(err))
}

// end is the reader's last error.
func (r *messageReader) end(err error) error {
	r.err = err
	r.c.in.inflater.Close()
	if r.c.in.stream == r {
		r.c.in.stream = nil
	}
	return err
}

// skip discards what is left of the message that NextReader has begun.
func (c *Conn) skip(ctx context.Context) error {
	r := c.in.stream
	if r == nil {
		return nil
	}
	if r.msg.compressed { // its context goes on
		var buf [1024]byte
		for r.err == nil {
			_, _ = r.inflated(buf[:]) // r.err
		}
		if r.err != io.EOF { //nolint:errorlint // it is set bare
			return r.err
		}
		return nil
	}
	for !r.last {
		if err := r.more(ctx); err != nil {
			return err
		}
	}
	c.in.stream = nil
	return nil
}

// Message is a message that was received.
type Message struct {
	Type MessageType
	Data []byte // the receiver's to keep
}

// Messages yields the messages of the peer until the connection ends. The error comes last; there is none if the peer
// closed with 1000, 1001 or without a code, or this side began to close. Leaving the loop leaves the connection as it is.
func (c *Conn) Messages(ctx context.Context) iter.Seq2[Message, error] {
	return func(yield func(Message, error) bool) {
		for {
			t, data, err := c.ReadMessage(ctx)
			if err != nil {
				if !ordinary(err) {
					yield(Message{}, err)
				}
				return
			}
			if !yield(Message{t, data}, nil) {
				return
			}
		}
	}
}

// messageWriter collects one message.
type messageWriter struct {
	c   *Conn
	ctx context.Context
	typ MessageType
	bytes.Buffer
	closed bool
}

// NextWriter returns a writer for one message, which is sent when the writer is closed; Close waits as
// [Conn.WriteMessage] does. Until then it is kept in memory. A writer is used by one goroutine.
func (c *Conn) NextWriter(ctx context.Context, t MessageType) (io.WriteCloser, error) {
	if err := valid(t, nil); err != nil {
		return nil, err
	}
	return &messageWriter{c: c, ctx: ctx, typ: t}, nil
}

// Write implements [io.Writer].
func (w *messageWriter) Write(p []byte) (int, error) {
	if w.closed {
		return 0, ErrWriterClosed
	}
	return w.Buffer.Write(p)
}

// Close sends the message.
func (w *messageWriter) Close() error {
	if w.closed {
		return ErrWriterClosed
	}
	w.closed = true
	return w.c.WriteMessage(w.ctx, w.typ, w.Bytes())
}
