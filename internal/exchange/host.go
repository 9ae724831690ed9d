package exchange

import (
	"context"
	"errors"
	"maps"
	"net"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/goceleris/celeris/engine"
	"github.com/goceleris/celeris/internal/park"
)

// ErrDraining is what [Host.Add] answers once the host drains.
var ErrDraining = errors.New("celeris: server is shutting down")

// Host is a server's register of its open streams and of the user code that runs for them. Its methods
// may be called from any goroutine.
type Host struct {
	// MaxStall is how long a stream of this host may make no progress. It is set before the host is used.
	MaxStall time.Duration
	// Engine returns what parks streams on a connection, or nil. It is set before the host is used, or is nil itself.
	Engine func(net.Conn) park.Engine
	// MaxCallbacks is how many goroutines run what Call is given; less than one means one. It is set before the host is
	// used.
	MaxCallbacks int
	// Lingers has goroutines that have run what Call was given wait a little for more, until Drain. It is set before the
	// host is used.
	Lingers bool
	// Limits are set before the host is used.
	Limits Limits

	bytes atomic.Int64 // that streams wrote which are not parked, and others before they were
	ends  ends

	// mu guards the fields below; nothing of anybody else is called under it.
	mu       sync.Mutex
	draining bool
	opened   int64
	streams  map[engine.Stream]struct{}
	guestOf  map[engine.Stream]*guest // of those streams to which the limit per client applies
	guests   map[netip.Addr]*guest
	refused  Refused
	told     Refused // of them, those that the log has
	toldAt   time.Time
	code     map[string]int // user code that runs, or waits to be called, by route
	calls    calls
	changed  chan struct{} // closed and replaced when a stream or a call ends; nil while nobody waits
}

// Enter counts user code that begins to run for route; the returned function, called once, ends it.
func (h *Host) Enter(route string) (leave func()) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.enter(route)
	return func() {
		h.mu.Lock()
		defer h.mu.Unlock()
		h.leave(route)
	}
}

// enter and leave run under mu.
func (h *Host) enter(route string) {
	if h.code == nil {
		h.code = make(map[string]int)
	}
	h.code[route]++
}

func (h *Host) leave(route string) {
	if h.code[route]--; h.code[route] == 0 {
		delete(h.code, route)
	}
	h.signal()
}

func (h *Host) signal() {
	if h.changed != nil {
		close(h.changed)
		h.changed = nil
	}
}

// Drain refuses new streams from here on and returns those that are open.
func (h *Host) Drain() []engine.Stream {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.draining = true
	h.dismiss()
	return slices.Collect(maps.Keys(h.streams))
}

// Draining reports whether Drain was called.
func (h *Host) Draining() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.draining
}

// Len returns how many streams are open.
func (h *Host) Len() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(h.streams)
}

// Running returns how much user code runs, or waits to be called, by route.
func (h *Host) Running() map[string]int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return maps.Clone(h.code)
}

// Wait returns nil when no stream is open and no user code runs or waits to be called, or the cause for which ctx ended.
func (h *Host) Wait(ctx context.Context) error {
	for {
		h.mu.Lock()
		if len(h.streams) == 0 && len(h.code) == 0 {
			h.mu.Unlock()
			return nil
		}
		if h.changed == nil {
			h.changed = make(chan struct{})
		}
		changed := h.changed
		h.mu.Unlock()
		select {
		case <-changed:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}
