package websocket

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"maps"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/goceleris/celeris/internal/exchange"
	"github.com/goceleris/celeris/internal/fanout"
	"github.com/goceleris/celeris/internal/wsproto"
)

// Hub sends messages to many connections at once. What is broadcast is framed, and compressed, once; a log for each room
// keeps it, in which every connection has its place. So a broadcast costs the same for ten connections as for many
// thousands, and no connection can hold it up. Connections with a Handler and with callbacks may be in the same hub.
//
// The methods may be called by any number of goroutines, and from callbacks.
type Hub struct {
	cfg      HubConfig
	core     *fanout.Core
	presence exchange.Host // runs OnJoin and OnLeave
	filtered counters

	mu     sync.Mutex // guards what follows; it comes before the locks of the core
	closed bool
	conns  map[*Conn]*seat
	rooms  map[string]*room
}

// counters count what does not go through the log.
type counters struct{ sent, dropped, panics atomic.Int64 }

// seat is a registered connection.
type seat struct{ rooms []string }

// room is one that connections are in, or of which somebody is yet to be told.
type room struct {
	name    string
	conns   int
	told    bool        // somebody tells of it
	changes []*presence // in order
}

// NewHub returns a hub that runs one goroutine until [Hub.Close]. A mistake in cfg panics.
func NewHub(cfg HubConfig) *Hub {
	cfg.fill()
	h := &Hub{cfg: cfg, conns: make(map[*Conn]*seat), rooms: make(map[string]*room)}
	h.presence.MaxCallbacks = cfg.MaxCallbacks
	f := fanout.Config{
		Framing: hubFraming{}, SubscriberBuffer: cfg.SubscriberBuffer, MaxLagBytes: cfg.MaxLagBytes,
		History: cfg.History, HistoryAge: cfg.HistoryAge, HistoryBytes: cfg.HistoryBytes, MaxTopics: cfg.MaxRooms,
		MaxCallbacks: cfg.MaxCallbacks, Logger: cfg.Logger,
		OnSlow: h.slow, Evicted: h.evicted, SnapshotTimeout: cfg.ResyncTimeout, LossesOnly: true,
	}
	if f.MaxTopics > 0 {
		f.MaxTopics++ // the one of all
	}
	f.MaxFrame = cfg.MaxMessageBytes + wsproto.MaxHeader
	if cfg.OnResync != nil {
		f.Snapshot = h.resync
	}
	h.core = fanout.NewCore(f)
	return h
}

// all is the topic of every connection; those of rooms have their names behind a letter.
const all = ""

func topics(rooms []string) []string {
	t := make([]string, 0, len(rooms)+1)
	for _, r := range rooms {
		t = append(t, topic(r))
	}
	return t
}

func topic(room string) string { return "r" + room }

// Register has c get what is broadcast from here on, to all and to these rooms, until unregister is called or it ends.
// To register again adds the rooms. A connection may be registered as soon as its Handler or OnOpen runs; it belongs to
// one hub for life. Errors: [ErrOtherHub], [ErrTooManyRooms], [ErrRemoved], [ErrClosed], [ErrHubClosed].
func (h *Hub) Register(c *Conn, rooms ...string) (unregister func(), err error) {
	return h.Resume(c, "", rooms...)
}

// Oldest is a position for [Hub.Resume]: as much of the past as there is.
const Oldest = fanout.Oldest

// Resume is [Hub.Register] of a connection whose peer has seen everything up to a position, which a message that Envelope
// made had in it: what was broadcast since then, to all and to these rooms, comes first. With [Oldest] all of the history
// does, and with "" none. Where the history does not reach back any more, see [HubConfig.OnResync]. Who is registered
// already does not get the past of rooms that he adds.
func (h *Hub) Resume(c *Conn, position string, rooms ...string) (unregister func(), err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	switch {
	case h.closed:
		return nil, ErrHubClosed
	case c.cfg.client:
		return nil, fmt.Errorf("websocket: a hub has the connections of a server: %w", errors.ErrUnsupported)
	case c.removed.Load():
		return nil, ErrRemoved
	}
	s := h.conns[c]
	if c.member.Core() == nil {
		err = h.core.Open(c.member, position, append(topics(rooms), all)...)
	} else {
		err = h.core.Join(c.member, append(topics(rooms), all)...)
	}
	if err != nil {
		return nil, hubError(err)
	}
	if s == nil {
		if !c.enter(h) {
			return nil, ErrClosed
		}
		s = &seat{}
		h.conns[c] = s
	}
	h.join(c, s, rooms)
	return func() { h.Unregister(c) }, nil
}

// enter makes h the connection's hub, and reports false if the connection is over.
func (c *Conn) enter(h *Hub) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.gone {
		return false
	}
	c.hub = h
	return true
}

// left is told that the connection is over.
func (c *Conn) left() {
	c.mu.Lock()
	c.gone = true
	h := c.hub
	c.hub = nil
	c.mu.Unlock()
	if h != nil {
		h.remove(c, true)
	}
}

// Unregister has c get nothing more: what was broadcast before is still delivered. The connection stays open.
func (h *Hub) Unregister(c *Conn) { h.remove(c, false) }

// remove takes c's seat away, of a connection that is over or one that stays open.
func (h *Hub) remove(c *Conn, over bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	s := h.conns[c]
	if s == nil {
		return
	}
	delete(h.conns, c)
	if !over {
		h.core.Leave(c.member, append(topics(s.rooms), all)...)
	}
	for _, name := range s.rooms {
		h.leave(c, name)
	}
}

// Join has a registered connection get what is broadcast to more rooms from here on. Errors: [ErrNotRegistered],
// [ErrTooManyRooms], [ErrClosed], [ErrHubClosed].
func (h *Hub) Join(c *Conn, rooms ...string) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed {
		return ErrHubClosed
	}
	s := h.conns[c]
	if s == nil {
		return ErrNotRegistered
	}
	if err := h.core.Join(c.member, topics(rooms)...); err != nil {
		return hubError(err)
	}
	h.join(c, s, rooms)
	return nil
}

// Leave takes a connection out of rooms. What was broadcast to them before is still delivered.
func (h *Hub) Leave(c *Conn, rooms ...string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	s := h.conns[c]
	if s == nil {
		return
	}
	h.core.Leave(c.member, topics(rooms)...)
	for _, name := range rooms {
		if i := slices.Index(s.rooms, name); i >= 0 {
			s.rooms = slices.Delete(s.rooms, i, i+1)
			h.leave(c, name)
		}
	}
}

// join and leave run under mu.
func (h *Hub) join(c *Conn, s *seat, rooms []string) {
	for _, name := range rooms {
		if slices.Contains(s.rooms, name) {
			continue
		}
		s.rooms = append(s.rooms, name)
		r := h.rooms[name]
		if r == nil {
			r = &room{name: name}
			h.rooms[name] = r
		}
		r.conns++
		h.changed(r, c, true)
	}
}

func (h *Hub) leave(c *Conn, name string) {
	r := h.rooms[name]
	r.conns--
	h.changed(r, c, false)
	h.tidy(r)
}

// tidy forgets a room that nobody is in and nobody is to be told of.
func (h *Hub) tidy(r *room) {
	if r.conns == 0 && !r.told && len(r.changes) == 0 {
		delete(h.rooms, r.name)
	}
}

// hubError is the public form of an error of a core.
func hubError(err error) error {
	switch {
	case errors.Is(err, fanout.ErrClosed):
		return ErrHubClosed
	case errors.Is(err, fanout.ErrEnded):
		return ErrClosed
	case errors.Is(err, fanout.ErrOtherCore):
		return ErrOtherHub
	case errors.Is(err, fanout.ErrTooManyTopics):
		return ErrTooManyRooms
	case errors.Is(err, fanout.ErrFrameTooLarge):
		return ErrTooBig
	}
	return err
}

// Len returns how many connections are registered.
func (h *Hub) Len() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(h.conns)
}

// Rooms returns how many connections are in each room, but for rooms that nobody is in.
func (h *Hub) Rooms() map[string]int {
	h.mu.Lock()
	defer h.mu.Unlock()
	m := make(map[string]int, len(h.rooms))
	for name, r := range h.rooms {
		if r.conns > 0 {
			m[name] = r.conns
		}
	}
	return m
}

// Conns yields the connections that are in a room when the loop begins, in no order. They may be gone when they are
// yielded. It looks at every connection of the hub.
func (h *Hub) Conns(room string) iter.Seq[*Conn] {
	return func(yield func(*Conn) bool) {
		for _, c := range h.in(room) {
			if !yield(c) {
				return
			}
		}
	}
}

// in returns the connections in a room.
func (h *Hub) in(room string) []*Conn {
	h.mu.Lock()
	defer h.mu.Unlock()
	r := h.rooms[room]
	if r == nil {
		return nil
	}
	conns := make([]*Conn, 0, r.conns)
	for c, s := range h.conns {
		if slices.Contains(s.rooms, room) {
			conns = append(conns, c)
		}
	}
	return conns
}

// snapshot returns the connections of this moment.
func (h *Hub) snapshot() []*Conn {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.AppendSeq(make([]*Conn, 0, len(h.conns)), maps.Keys(h.conns))
}

// Close ends the hub: from here on it refuses connections and messages. Every connection gets what was broadcast before,
// and is closed with 1001. Close returns when all of them have ended and no callback runs, or cuts those that are left
// when ctx ends and returns its cause. It may be called again, to wait for longer.
func (h *Hub) Close(ctx context.Context) error {
	h.mu.Lock()
	h.closed = true
	h.mu.Unlock()
	h.core.Refuse()
	conns := h.snapshot()
	for _, c := range conns {
		c.goAway(errHubClosed{})
	}
	err := h.wait(ctx, conns)
	return errors.Join(err, h.core.Stop(ctx), h.presence.Wait(ctx))
}

// wait waits for connections to end, and cuts them when ctx does.
func (h *Hub) wait(ctx context.Context, conns []*Conn) error {
	for _, c := range conns {
		for _, over := range []<-chan struct{}{c.finished(), c.Context().Done()} { // sent all it had, and heard the peer's last word
			select {
			case <-over:
			case <-ctx.Done():
				for _, c := range conns {
					c.cut(errHubClosed{})
				}
				return context.Cause(ctx)
			}
		}
	}
	return nil
}
