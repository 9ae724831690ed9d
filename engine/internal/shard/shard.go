package shard

import (
	"errors"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/goceleris/celeris/engine"
	"github.com/goceleris/celeris/internal/fanout"
	"github.com/goceleris/celeris/internal/park"
)

const (
	// chunk is how many streams are sent to before other goroutines get the processor: a shard that doesn't yield
	// starves the publishers.
	chunk = 32
	// batchBytes bounds what one stream sends before the others have their turn.
	batchBytes = 64 << 10
)

// Shard owns parked streams and drives them on one goroutine.
type Shard struct {
	backend  Backend
	born     time.Time    // when instants begin
	live     atomic.Int64 // streams that are not closed
	refused  atomic.Int64
	passes   atomic.Int64
	sends    atomic.Int64
	refuses  atomic.Int64
	bytes    atomic.Int64
	received atomic.Int64
	done     sync.WaitGroup

	// mu guards what follows.
	mu       sync.Mutex
	waiting  []*Stream // ready to be looked at
	quitting bool
	ended    bool // nobody looks at what is ready any more

	// For the shard's goroutine.
	wheel           *wheel
	events          []Event
	due             []*Stream
	ops             []Op
	sent            []*Stream // whose ops these are
	status          []fanout.Status
	plans           [chunk]fanout.Plan
	readers, turned []*Stream // whose peers may have sent more than their turn took; turned is to be used again
}

// New returns a shard that runs until [Shard.Close].
func New(b Backend) *Shard {
	s := &Shard{backend: b, born: time.Now(), wheel: newWheel()}
	s.done.Go(s.run)
	return s
}

// Park makes m's stream on conn one of the shard's. The first bytes of the stream have been sent. A shard that has ended
// cuts it.
func (s *Shard) Park(conn Conn, m *fanout.Member, cfg park.Parking) *Stream {
	st := &Stream{
		shard: s, conn: conn, member: m, pace: cfg.Pace, owner: cfg.Owner,
		born: instant(cfg.Born.Sub(s.born)), bytes: cfg.Sent,
	}
	st.timer.stream = st
	if cfg.Inbound != nil {
		st.in = &inbound{to: cfg.Inbound, rest: cfg.Early}
	}
	s.mu.Lock()
	ended := s.ended
	if !ended {
		s.live.Add(1)
	}
	s.mu.Unlock()
	if ended {
		st.state, st.reason = closed, m.End(engine.ErrCut)
		conn.Close()
		st.tell()
		return st
	}
	s.ready(st)
	return st
}

// ready has a stream looked at.
func (s *Shard) ready(st *Stream) {
	if st.queued.Swap(true) {
		return
	}
	s.mu.Lock()
	s.waiting = append(s.waiting, st)
	first := len(s.waiting) == 1
	s.mu.Unlock()
	if first {
		s.backend.Wake()
	}
}

// Close cuts the streams that are left and returns when the shard has ended.
func (s *Shard) Close() {
	s.mu.Lock()
	s.quitting = true
	s.mu.Unlock()
	s.backend.Wake()
	s.done.Wait()
}

// Stats are counters and gauges of the moment.
func (s *Shard) Stats() engine.Stats {
	return engine.Stats{
		Streams: int(s.live.Load()), Refused: int(s.refused.Load()), Passes: s.passes.Load(),
		Sends: s.sends.Load(), Refusals: s.refuses.Load(), Bytes: s.bytes.Load(), Received: s.received.Load(),
	}
}

func (s *Shard) run() {
	var list []*Stream
	for {
		s.mu.Lock()
		list, s.waiting = s.waiting, list[:0]
		quitting := s.quitting
		s.mu.Unlock()
		if quitting {
			s.cutAll(list)
			if s.over() {
				return
			}
		}
		if len(list) > 0 {
			s.passes.Add(1)
		}
		for rest := list; len(rest) > 0; {
			n := min(chunk, len(rest))
			s.pass(rest[:n])
			rest = rest[n:]
			runtime.Gosched()
		}
		clear(list)
		s.wait(len(list)+len(s.readers) > 0)
	}
}

// over ends the shard if it has no stream left.
func (s *Shard) over() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ended = s.live.Load() == 0
	return s.ended
}

// cutAll ends all streams: those that hang in the wheel, and those that are just arriving.
func (s *Shard) cutAll(list []*Stream) {
	for _, st := range append(s.wheel.all(), list...) {
		if st.state == arriving {
			st.conn.Attach(st)
		}
		if st.state != closed {
			st.end(engine.ErrCut)
		}
	}
}

// wait takes what happened to connections and timers; busy only looks.
func (s *Shard) wait(busy bool) {
	now := s.now()
	until := now
	if !busy {
		until = s.wheel.next(now)
	}
	s.events = s.backend.Wait(s.events[:0], s.at(until))
	now = s.now()
	for _, e := range s.events {
		st := e.Stream
		if st.state == closed || st.state == arriving {
			continue
		}
		if e.Writable {
			st.accept()
			s.ready(st)
		}
		if e.Readable {
			st.input(now)
		}
	}
	clear(s.events)
	s.hear(now)
	s.due = s.wheel.up(s.due[:0], now)
	for _, st := range s.due {
		st.tick(now)
	}
	clear(s.due)
}

// hear gives their turn to those who were not through with theirs, or have not had one.
func (s *Shard) hear(now instant) {
	list := s.readers
	s.readers, s.turned = s.turned[:0], list
	for _, st := range list {
		if st.in.listed = false; st.state == streaming || st.state == parting {
			st.input(now)
		}
	}
	if clear(list); len(list) > 0 {
		runtime.Gosched()
	}
}

// pass sends what is due on a few streams.
func (s *Shard) pass(list []*Stream) {
	now := s.now()
	s.ops, s.sent, s.status = s.ops[:0], s.sent[:0], s.status[:0]
	for _, st := range list {
		st.queued.Store(false)
		s.prepare(st, now)
	}
	if len(s.ops) == 0 {
		return
	}
	s.backend.Send(s.ops)
	s.sends.Add(int64(len(s.ops)))
	for i, st := range s.sent {
		s.took(st, i, now)
	}
	clear(s.ops)
	clear(s.sent)
}

// prepare makes a send of what a stream has due.
func (s *Shard) prepare(st *Stream, now instant) {
	if st.state == arriving {
		st.arrive(now)
	}
	if in := st.in; in != nil && in.sated.Load() && !in.enough && (st.state == streaming || st.state == parting) {
		st.deafen(now)
	}
	if st.state == closed || st.state != streaming && !st.cut.Load() {
		return
	}
	if st.cut.Load() {
		st.end(engine.ErrCut)
		return
	}
	if st.in != nil {
		st.resume(now)
	}
	if st.refused {
		return
	}
	if st.in != nil {
		st.say()
	}
	p := &s.plans[len(s.ops)]
	status := fanout.More
	if len(st.rest) > 0 {
		p.Bufs, p.Size = append(p.Bufs[:0], st.rest), len(st.rest)
	} else if st.finished {
		st.finish(now)
		return
	} else if status = st.member.Plan(p, batchBytes); p.Size == 0 {
		st.full = false
		if status == fanout.Finished {
			st.finish(now)
		}
		return
	}
	s.ops = append(s.ops, Op{Conn: st.conn, Bufs: p.Bufs})
	s.sent = append(s.sent, st)
	s.status = append(s.status, status)
}

// took accounts for what a connection took.
func (s *Shard) took(st *Stream, i int, now instant) {
	op, p := &s.ops[i], &s.plans[i]
	idle := false
	if len(st.rest) > 0 {
		st.rest = st.rest[op.N:]
		clear(p.Bufs)
		p.Bufs, p.Size = p.Bufs[:0], 0
	} else {
		st.rest, idle = st.member.Commit(p, op.N)
	}
	if len(st.rest) == 0 {
		st.rest = nil
	}
	st.finished = st.finished || s.status[i] == fanout.Finished
	if op.N > 0 {
		st.sent, st.moved = now, now
		st.bytes += int64(op.N)
		s.bytes.Add(int64(op.N))
	}
	switch {
	case op.Err == nil:
		st.full = false
		if !idle {
			s.ready(st) // until there is nothing left
		}
	case errors.Is(op.Err, ErrRefused):
		s.refuses.Add(1)
		st.refuse(now)
	default:
		st.end(engine.ErrPeerGone)
	}
}
