package websocket

import (
	"errors"
	"log/slog"
	"runtime/debug"

	"github.com/goceleris/celeris/internal/fanout"
)

// contain runs user code whose panic must not spread.
func (c *Conn) contain(name string, f func()) {
	defer func() {
		if p := recover(); p != nil {
			c.panicked(name, p)
		}
	}()
	f()
}

// panicked counts and logs a panic of user code.
func (c *Conn) panicked(name string, p any) {
	if core := c.member.Core(); core != nil {
		core.CountPanic()
	}
	c.cfg.Logger.LogAttrs(c.Context(), slog.LevelError, "callback panicked", slog.String("callback", name),
		slog.String("remote", c.RemoteAddr()), slog.Any("panic", p), slog.String("stack", string(debug.Stack())))
}

// why is the reason for which a connection has ended: nil if this side finished it.
func (c *Conn) why() error {
	if err := c.member.End(nil); err != nil { // it has ended: this only asks
		if errors.Is(err, fanout.ErrSlow) {
			return tooSlow()
		}
		return err
	}
	if err := c.ended(); err != nil {
		if e, ok := errors.AsType[*CloseError](err); !ok || !e.Local {
			return err
		}
	}
	return nil
}

// tooSlow is how a policy closes a connection.
func tooSlow() *CloseError {
	return &CloseError{Code: StatusTryAgainLater, Reason: "too slow", Local: true}
}

// ordinary reports whether a connection ended as connections should.
func ordinary(err error) bool {
	e, ok := errors.AsType[*CloseError](err)
	if !ok {
		return false
	}
	switch e.Code {
	case StatusNormalClosure, StatusGoingAway, StatusNoStatusReceived:
		return true
	}
	return e.Local
}
