package exchange

import (
	"container/list"
	"slices"
	"time"
)

// overdueAfter is how long a call keeps its place while others wait for one.
const overdueAfter = time.Minute

const (
	// idleFor is how long a goroutine without a call waits for the next: to begin a new one, and to grow its stack, costs
	// more than a short call.
	idleFor = 100 * time.Millisecond
	// maxIdle is how many wait at most.
	maxIdle = 32
)

// call is user code that has to run for a route.
type call struct {
	route string
	f     func()
	began time.Time
	place *list.Element // among the calls that run; nil if it took too long
}

// calls is user code that nobody else has a goroutine for. At most [Host.MaxCallbacks] goroutines run it, each one call
// after the other; what they have no time for waits in order. A call that takes longer than overdueAfter loses its place
// to one that waits, and as many as have places may have lost one. There is at most one call for each stream that has
// ended and not been removed from the host, so the list of those that wait needs no bound of its own.
type calls struct {
	running list.List // of *call, in the order in which they began
	overdue int       // that run without a place
	waiting []*call
	idle    []chan *call // of goroutines that wait for a call; each gets one, or nil to end
	alarm   *time.Timer  // for when the first that runs is overdue; nil unless one waits
}

// Call has f run, once, on a goroutine of the host, and returns at once. It counts as user code of route, as if by
// [Host.Enter], from here on. f may end its goroutine, but must not panic.
func (h *Host) Call(route string, f func()) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.enter(route)
	c := &call{route: route, f: f}
	if h.calls.running.Len() < h.places() {
		h.begin(c)
		if n := len(h.calls.idle) - 1; n >= 0 {
			h.calls.idle[n] <- c // it has room
			h.calls.idle[n] = nil
			h.calls.idle = h.calls.idle[:n]
		} else {
			go h.run(c)
		}
		return
	}
	h.calls.waiting = append(h.calls.waiting, c)
	h.watch()
}

func (h *Host) places() int { return max(1, h.MaxCallbacks) }

// run makes calls, c first, until none waits and none comes.
func (h *Host) run(c *call) {
	var lull *lull
	defer func() {
		if c == nil {
			return
		}
		if c = h.next(c); c != nil { // the last one has ended its goroutine, which others still need
			go h.run(c)
		}
	}()
	for c != nil {
		c.f()
		if c = h.next(c); c == nil && h.Lingers {
			c = h.await(&lull)
		}
	}
}

// lull is what a goroutine waits with for a call.
type lull struct {
	next  chan *call
	limit *time.Timer
}

// await waits for a call, and returns nil if there is none for a while, or enough goroutines wait.
func (h *Host) await(w **lull) *call {
	if *w == nil {
		*w = &lull{make(chan *call, 1), time.NewTimer(idleFor)}
	} else {
		(*w).limit.Reset(idleFor)
	}
	next, limit := (*w).next, (*w).limit
	defer limit.Stop()
	h.mu.Lock()
	if h.draining || len(h.calls.idle) >= maxIdle {
		h.mu.Unlock()
		return nil
	}
	h.calls.idle = append(h.calls.idle, next)
	h.mu.Unlock()
	select {
	case c := <-next:
		return c
	case <-limit.C:
	}
	h.mu.Lock()
	i := slices.Index(h.calls.idle, next)
	if i >= 0 {
		h.calls.idle = slices.Delete(h.calls.idle, i, i+1)
	}
	h.mu.Unlock()
	if i >= 0 {
		return nil
	}
	return <-next // it has just been given one
}

// dismiss ends the goroutines that wait. mu is held.
func (h *Host) dismiss() {
	for _, next := range h.calls.idle {
		next <- nil // it has room
	}
	h.calls.idle = nil
}

// next ends a call and returns the one that has its place now; if there is none, a goroutine ends.
func (h *Host) next(done *call) *call {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.leave(done.route)
	if done.place == nil {
		h.calls.overdue--
		h.watch()
		return nil
	}
	h.calls.running.Remove(done.place)
	if len(h.calls.waiting) == 0 {
		return nil
	}
	return h.first()
}

// begin, first, watch and relieve run under mu.
func (h *Host) begin(c *call) {
	c.began, c.place = time.Now(), h.calls.running.PushBack(c)
}

// first has the call begin that has waited longest.
func (h *Host) first() *call {
	w := h.calls.waiting
	c := w[0]
	w[0] = nil
	if h.calls.waiting = w[1:]; len(w) == 1 {
		h.calls.waiting = nil
	}
	h.begin(c)
	h.watch()
	return c
}

// watch sees to it that somebody looks when the next call is overdue, if that would help anybody.
func (h *Host) watch() {
	if h.calls.alarm != nil {
		h.calls.alarm.Stop()
		h.calls.alarm = nil
	}
	if oldest := h.calls.running.Front(); oldest != nil && len(h.calls.waiting) > 0 && h.calls.overdue < h.places() {
		h.calls.alarm = time.AfterFunc(time.Until(oldest.Value.(*call).began.Add(overdueAfter)), h.relieve)
	}
}

// relieve gives the places of calls that are overdue to those that wait.
func (h *Host) relieve() {
	h.mu.Lock()
	defer h.mu.Unlock()
	for len(h.calls.waiting) > 0 && h.calls.overdue < h.places() {
		oldest := h.calls.running.Front()
		if oldest == nil || time.Since(oldest.Value.(*call).began) < overdueAfter {
			break
		}
		h.calls.running.Remove(oldest).(*call).place = nil
		h.calls.overdue++
		go h.run(h.first())
	}
	h.watch()
}

// Callbacks returns how many goroutines run what [Host.Call] was given, and how much of it waits for one of them.
func (h *Host) Callbacks() (running, waiting int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.calls.running.Len() + h.calls.overdue, len(h.calls.waiting)
}
