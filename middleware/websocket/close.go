package websocket

import (
	"context"
	"errors"
	"net"
	"time"

	"github.com/goceleris/celeris/engine"
	"github.com/goceleris/celeris/internal/wsproto"
)

// Close sends a close frame behind all that was sent before, waits for that of the peer, and closes the connection. What
// the peer sends meanwhile is discarded, unless somebody reads. It returns nil when the peer has closed too,
// [ErrCloseTimeout] if it has not within the CloseTimeout, the reason if the connection was over, and [ErrCloseCode],
// with nothing done, for a code that may not be sent; [StatusNoStatusReceived] sends a close frame without one. A reason
// of more than 123 bytes is cut.
func (c *Conn) Close(code int, reason string) error {
	if !wsproto.ValidCode(code) && code != StatusNoStatusReceived {
		return ErrCloseCode
	}
	c.shut(&CloseError{Code: code, Reason: reason, Local: true}, nil)
	c.await()
	c.hangUp()
	err := c.in.failure()
	if _, ok := errors.AsType[*CloseError](err); ok {
		return nil
	}
	return err
}

// CloseNow ends the connection without a close frame. It returns [ErrClosed] if that was over before.
func (c *Conn) CloseNow() error {
	over := c.ctx.Err() != nil
	c.cut(errors.Join(ErrClosed, engine.ErrCut))
	<-c.flushed
	c.hangUp()
	if over {
		return ErrClosed
	}
	return nil
}

// shut sends a close frame, once; why is the reason for which the connection ends then.
func (c *Conn) shut(e *CloseError, why error) {
	if c.begin(e) {
		c.member.Finish(why, c.closeFrame(e), false)
	}
}

// begin makes e how the connection is closed, and reports false if that was decided before.
func (c *Conn) begin(e *CloseError) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closing != nil {
		return false
	}
	c.closing = e
	c.abort = time.AfterFunc(c.cfg.CloseTimeout, func() { c.cut(ErrCloseTimeout) })
	return true
}

func (c *Conn) closeFrame(e *CloseError) []byte {
	f := wsproto.Frame{Masked: c.cfg.client}
	if f.Masked {
		f.Key = newKey()
	}
	return wsproto.AppendClose(nil, f, e.Code, e.Reason)
}

// cut ends the connection now. It does not wait.
func (c *Conn) cut(reason error) {
	c.in.fail(reason)
	c.cancel(reason)
	c.member.Cut(reason)
}

// sent is told by the pipe that nothing is sent any more.
func (c *Conn) sent(reason error, cut bool) {
	if cut {
		if reason == nil {
			reason = engine.ErrCut
		}
		c.in.fail(reason)
		c.cancel(reason)
		_ = c.nc.Close() // reads fail
	}
	close(c.flushed)
}

// await completes the closing handshake that has begun, or returns when it has failed.
func (c *Conn) await() {
	<-c.flushed // the abort timer ends it at the latest
	// Whoever reads notices the peer's close frame; if nobody does, do it here.
	select {
	case c.in.turn <- struct{}{}:
	case <-c.ctx.Done():
		return
	}
	defer func() { <-c.in.turn }()
	for c.in.failure() == nil {
		if _, err := c.next(context.Background()); err != nil {
			return
		}
	}
}

// hangUp closes the connection when the handshake is over, and returns when that is done. A server closes first, RFC 6455
// 7.1.1; a client waits for it.
func (c *Conn) hangUp() { c.hungUp.Do(c.release) }

func (c *Conn) release() {
	c.mu.Lock()
	for _, t := range []*time.Timer{c.abort, c.reap, c.beat} {
		if t != nil {
			t.Stop()
		}
	}
	c.over = true
	c.mu.Unlock()
	why := c.in.failure()
	if _, ok := errors.AsType[*CloseError](why); ok || isViolation(why) {
		c.linger()
	}
	_ = c.nc.Close()
	if t, ok := c.nc.(*tunnel); ok {
		<-t.done
	}
	c.cancel(why)
	c.readers.Wait()
}

func isViolation(err error) bool {
	_, ok := errors.AsType[*ProtocolError](err)
	return ok
}

const (
	lingerFor   = time.Second
	lingerBytes = 64 << 10
)

// linger reads what the peer still sends, so that closing does not become a reset which destroys the close frame.
func (c *Conn) linger() {
	if !c.cfg.client {
		w, ok := c.nc.(interface{ CloseWrite() error })
		if !ok || w.CloseWrite() != nil {
			return
		}
	}
	if c.nc.SetReadDeadline(time.Now().Add(lingerFor)) != nil {
		return
	}
	var buf [1024]byte
	for n := 0; n < lingerBytes; {
		k, err := c.nc.Read(buf[:])
		if err != nil {
			return
		}
		n += k
	}
}

// gone names the reason for which a read failed.
func gone(err error) error {
	if errors.Is(err, net.ErrClosed) {
		return errors.Join(ErrClosed, engine.ErrCut)
	}
	return errors.Join(engine.ErrPeerGone, err)
}
