package sse

import (
	"log/slog"
	"runtime/debug"
)

// contain runs user code whose panic must not spread.
func (c *Client) contain(name string, f func()) {
	defer func() {
		if p := recover(); p != nil {
			c.panicked(name, p)
		}
	}()
	f()
}

// panicked counts and logs a panic of user code.
func (c *Client) panicked(name string, p any) {
	if core := c.member.Core(); core != nil {
		core.CountPanic()
	}
	c.cfg.Logger.LogAttrs(c.Context(), slog.LevelError, "callback panicked", slog.String("callback", name),
		slog.String("remote", c.RemoteAddr()), slog.Any("panic", p), slog.String("stack", string(debug.Stack())))
}
