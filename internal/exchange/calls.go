package exchange

// call is user code that has to run for a route.
type call struct {
	route string
	f     func()
}

// calls is user code that nobody else has a goroutine for. At most [Host.MaxCallbacks] goroutines run it, each one call
// after the other; what they have no time for waits in order. There is at most one call for each stream that has
// ended and not been removed from the host, so the list needs no bound of its own.
type calls struct {
	running int
	waiting []call
}

// Call has f run, once, on a goroutine of the host, and returns at once. It counts as user code of route, as if by
// [Host.Enter], from here on. f may end its goroutine, but must not panic.
func (h *Host) Call(route string, f func()) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.enter(route)
	c := call{route, f}
	if h.calls.running >= max(1, h.MaxCallbacks) {
		h.calls.waiting = append(h.calls.waiting, c)
		return
	}
	h.calls.running++
	go h.run(c)
}

// run makes calls, c first, until none waits.
func (h *Host) run(c call) {
	more := true
	defer func() {
		if !more {
			return
		}
		if c, more = h.next(c); more { // c has ended its goroutine, which others still need
			go h.run(c)
		}
	}()
	for more {
		c.f()
		c, more = h.next(c)
	}
}

// next ends a call and returns the one that has waited longest; if there is none, a goroutine ends.
func (h *Host) next(done call) (c call, ok bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.leave(done.route)
	w := h.calls.waiting
	if len(w) == 0 {
		h.calls.running--
		return call{}, false
	}
	c, w[0] = w[0], call{}
	if h.calls.waiting = w[1:]; len(w) == 1 {
		h.calls.waiting = nil
	}
	return c, true
}

// Callbacks returns how many goroutines run what [Host.Call] was given, and how much of it waits for one of them.
func (h *Host) Callbacks() (running, waiting int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.calls.running, len(h.calls.waiting)
}
