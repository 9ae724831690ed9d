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
// of more than 123 bytes is cut. With callbacks OnMessage is not called any more, and OnClose still is.
func (c *Conn) Close(code int, reason string) error {
	if !wsproto.ValidCode(code) && code != StatusNoStatusReceived {
		return ErrCloseCode
	}
	if c.box != nil {
		return c.box.close(&CloseError{Code: code, Reason: reason, Local: true})
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
	over := c.ended() != nil
	c.cut(errors.Join(ErrClosed, engine.ErrCut))
	<-c.finished()
	if c.box == nil { // else somebody sees to it
		c.hangUp()
	}
	if over {
		return ErrClosed
	}
	return nil
}

// shut sends a close frame, once; why is the reason for which the connection ends then.
func (c *Conn) shut(e *CloseError, why error) { c.farewell(e, why, false) }

// farewell is shut; with due, what was broadcast before goes out too.
func (c *Conn) farewell(e *CloseError, why error, due bool) {
	if !c.begin(e) {
		return
	}
	c.member.Finish(why, c.closeFrame(e), due)
	if c.box != nil {
		c.box.goOn()
	}
}

// goAway says farewell with 1001, behind what was broadcast before.
func (c *Conn) goAway(reason error) {
	c.farewell(&CloseError{Code: StatusGoingAway, Local: true}, reason, true)
	if c.box != nil {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.reap == nil {
		c.reap = time.AfterFunc(c.cfg.CloseTimeout/2, c.await)
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
	if c.manned == nil { // a shard sees to it
		return true
	}
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
	c.cancel(reason) // before a read may return
	if c.in != nil {
		c.in.fail(reason)
	}
	c.member.Cut(reason)
}

// sent is told by the pipe that nothing is sent any more.
func (c *Conn) sent(reason error, cut bool) {
	if cut {
		if reason == nil {
			reason = engine.ErrCut
		}
		c.cancel(reason)
		if c.in != nil {
			c.in.fail(reason)
		}
		_ = c.nc.Close() // reads fail
	}
	c.left()
	close(c.flushed)
}

// await completes the closing handshake that has begun, or returns when it has failed.
func (c *Conn) await() {
	<-c.flushed // the abort timer ends it at the latest
	// Whoever reads notices the peer's close frame; if nobody does, do it here.
	select {
	case c.in.turn <- struct{}{}:
	case <-c.Context().Done():
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
	why := c.failure()
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

// failure is why nothing is read any more, or nil.
func (c *Conn) failure() error {
	if c.box != nil {
		return c.box.failure()
	}
	return c.in.failure()
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
