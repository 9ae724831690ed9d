package websocket

import (
	"context"
	"log/slog"
	"runtime/debug"
	"slices"
)

// presence is a connection that has entered or left a room, of which nobody was told yet.
type presence struct {
	conn   *Conn
	joined bool
}

// changed has somebody told that c has joined r or left it. One that leaves before its coming was told is not mentioned:
// so a callback that hangs makes the list no longer than there were, and are, connections in the room. mu is held.
func (h *Hub) changed(r *room, c *Conn, joined bool) {
	if h.cfg.OnJoin == nil && h.cfg.OnLeave == nil {
		return
	}
	if !joined {
		i := slices.IndexFunc(r.changes, func(p *presence) bool { return p.conn == c && p.joined })
		if i >= 0 {
			r.changes = slices.Delete(r.changes, i, i+1)
			return
		}
	}
	r.changes = append(r.changes, &presence{c, joined})
	if !r.told {
		r.told = true
		h.presence.Call("", func() { h.tell(r) })
	}
}

// tell tells of a room, one change after the other.
func (h *Hub) tell(r *room) {
	over := false
	defer func() {
		if !over { // user code has ended the goroutine
			h.presence.Call("", func() { h.tell(r) })
		}
	}()
	for {
		h.mu.Lock()
		if len(r.changes) == 0 {
			r.told, r.changes, over = false, nil, true
			h.tidy(r)
			h.mu.Unlock()
			return
		}
		p := r.changes[0]
		r.changes = slices.Delete(r.changes, 0, 1)
		h.mu.Unlock()
		name, f := "OnJoin", h.cfg.OnJoin
		if !p.joined {
			name, f = "OnLeave", h.cfg.OnLeave
		}
		if f != nil {
			h.contain(name, func() { f(p.conn, r.name) })
		}
	}
}

// contain runs user code whose panic must not spread, and reports whether it returned. Nothing behind it is reached
// when that has ended its goroutine.
func (h *Hub) contain(name string, f func()) (ok bool) {
	defer func() {
		if ok {
			return
		}
		p := recover() // nil after runtime.Goexit
		h.filtered.panics.Add(1)
		h.cfg.Logger.LogAttrs(context.Background(), slog.LevelError, "callback panicked", slog.String("callback", name),
			slog.Any("panic", p), slog.String("stack", string(debug.Stack())))
	}()
	f()
	return true
}
