//go:build linux

package sockets

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/goceleris/celeris/internal/fanout"
	"github.com/goceleris/celeris/middleware/sse"
)

// crowd is clients that follow the same broker while it is being published to.
type crowd struct {
	*records
	site      *site
	followers []*follower

	mu      sync.Mutex // guards what follows
	changed *sync.Cond // one of it changed
	batches int
	mark    fanout.Position // the last event of the batch before the last
	final   fanout.Position // position of the last event; 0 while there will be more
	failed  error
}

// follower is a client that comes back until it has seen everything.
type follower struct {
	crowd  *crowd
	i      int
	rng    *rand.Rand
	topics set // it wants now
	policy sse.BrokerPolicy
	slow   bool
	cuts   bool // it is cut now and then, joins and leaves
	rcvbuf int

	handle atomic.Pointer[sse.Client] // the server's end of the newest stream
	at     atomic.Uint64              // the position that it has come to
	asked  atomic.Int64               // how often the server has asked what to do about it
	still  atomic.Bool                // it reads nothing, and nobody has to wait for it
	told   atomic.Bool                // its policy has shown on its stream

	lastID string
	visits []*visit
	sends  int
}

func (f *follower) String() string {
	kind := "fast"
	if f.slow {
		kind = fmt.Sprintf("slow, policy %d", f.policy)
	}
	return fmt.Sprintf("client %d (%s)", f.i, kind)
}

// find returns the follower of a client.
func (c *crowd) find(client *sse.Client) *follower {
	i, err := strconv.Atoi(client.Request().URL.Query().Get("who"))
	if err != nil || i >= len(c.followers) {
		panic("nobody's client")
	}
	return c.followers[i]
}

// ask answers OnSlowSubscriber.
func (c *crowd) ask(s sse.SlowSubscriber) sse.BrokerPolicy {
	f := c.find(s.Client)
	f.asked.Add(1)
	c.tell(func() {})
	return f.policy
}

// tell changes something that others wait for.
func (c *crowd) tell(change func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	change()
	c.changed.Broadcast()
}

// await waits until state, or failure.
func (c *crowd) await(state func() bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for !state() && c.failed == nil {
		c.changed.Wait()
	}
}

func (c *crowd) fail(err error) { c.tell(func() { c.failed = errors.Join(c.failed, err) }) }

// publish publishes one event.
func (c *crowd) publish(ctx context.Context, to set, key string) error {
	e := c.add(to, key)
	var out *sse.PreparedEvent
	var err error
	e.call = c.time(func() { out, err = c.site.broker.Publish(ctx, sse.Event{Data: payload(e), Key: key}, to.names()...) })
	if err != nil {
		return err
	}
	epoch, p, ok := fanout.ParseID(out.ID())
	if !ok || c.epoch != "" && c.epoch != epoch {
		return fmt.Errorf("event %d got id %q", e.n, out.ID())
	}
	e.pos = p
	return nil
}

// follow runs until everything is seen.
func (f *follower) follow(ctx context.Context) {
	for {
		over, err := f.visit(ctx)
		if err != nil {
			f.crowd.fail(fmt.Errorf("%v, stream %d from %q: %w", f, len(f.visits), f.lastID, err))
		}
		if over || err != nil || ctx.Err() != nil {
			return
		}
	}
}

// visit opens a stream and records it until it is over, or cut.
func (f *follower) visit(ctx context.Context) (over bool, err error) {
	v := &visit{from: f.lastID, topics: f.topics}
	f.visits = append(f.visits, v)
	var st *stream
	q := "?" + url.Values{
		"who": {strconv.Itoa(f.i)}, "visit": {strconv.Itoa(len(f.visits))}, "topics": {strings.Join(f.topics.names(), ",")},
	}.Encode()
	v.opened = f.crowd.time(func() {
		if st, err = f.crowd.site.dial(ctx, ask{query: q, lastID: f.lastID, buffer: f.rcvbuf}); err == nil {
			_, err = st.read(1)
			for err == nil && len(st.queue) == 0 {
				_, err = st.read(1)
			}
		}
	})
	if err != nil {
		return false, fmt.Errorf("open: %w", err)
	}
	stop := context.AfterFunc(ctx, func() { st.conn.Close() })
	defer stop()
	r := &reading{follower: f, visit: v, stream: st, left: -1, leaves: make(map[int]func())}
	if f.cuts && f.rng.IntN(4) > 0 {
		r.left = int(f.rng.ExpFloat64() * 10_000)
	}
	return r.run()
}

// reading is one stream that is being read.
type reading struct {
	*follower
	*visit
	stream *stream
	left   int // bytes until it is cut; negative for never
	events bool
	leaves map[int]func()
}

// run reads until the stream ends, or is cut.
func (r *reading) run() (over bool, err error) {
	defer r.stream.end()
	seen := r.asked.Load()
	for {
		r.take()
		if r.done() {
			r.stream.close()
			return true, nil
		}
		if r.removed() {
			r.cut = true
			r.stream.close()
			return false, nil
		}
		if r.left == 0 {
			r.cut = true
			if r.rng.IntN(2) == 0 {
				r.stream.reset()
			} else {
				r.stream.close()
			}
			return false, nil
		}
		if r.slow && r.rng.IntN(8) == 0 && r.keepsUp() {
			seen = r.standStill(seen)
		} else if r.events && r.cuts && r.rng.IntN(3) == 0 {
			r.meddle()
		}
		n := 16 << 10
		if r.slow {
			n = 1 + r.rng.IntN(4<<10) // a gulp
		}
		if r.left > 0 {
			n = min(n, r.left)
		}
		n, err := r.stream.read(n)
		if r.left > 0 {
			r.left -= n
		}
		if err != nil {
			r.take()
			r.stream.close()
			if err == io.EOF && r.said() {
				return r.done(), nil
			}
			return false, fmt.Errorf("at %d: %w; behind %.200q and %.200q", r.at.Load(), err,
				fmt.Sprint(r.blocks[max(len(r.blocks)-2, 0):]), r.stream.blocks.rest)
		}
	}
}

// take records the blocks that are complete.
func (r *reading) take() {
	if len(r.stream.queue) == 0 {
		return
	}
	for _, b := range r.stream.queue {
		r.blocks = append(r.blocks, b)
		r.events = r.events || b.data != "" && b.event == ""
		if b.event != "" && b.event != "private" || r.policy == sse.BrokerPolicyCatchUp && r.asked.Load() > 0 {
			r.told.Store(true)
		}
		if _, p, ok := fanout.ParseID(b.id); ok {
			r.lastID = b.id
			r.at.Store(uint64(p))
		}
	}
	r.stream.queue = r.stream.queue[:0]
	r.crowd.tell(func() {})
}

// done reports whether everything is seen.
func (r *reading) done() bool {
	r.crowd.mu.Lock()
	defer r.crowd.mu.Unlock()
	private := 0
	for _, b := range r.blocks {
		if b.event == "private" {
			private++
		}
	}
	return r.crowd.final != 0 && r.at.Load() >= uint64(r.crowd.final) && private == len(r.visit.sends)
}

func (r *reading) last(event string) bool {
	return len(r.blocks) > 0 && r.blocks[len(r.blocks)-1].event == event
}

func (r *reading) said() bool { return r.last("farewell") }

func (r *reading) removed() bool {
	for _, b := range r.blocks {
		if b.event == "resync" && strings.Contains(b.data, `"removed"`) {
			return true
		}
	}
	return false
}

// keepsUp reports whether the client is where it could be slow again.
func (r *reading) keepsUp() bool {
	r.crowd.mu.Lock()
	defer r.crowd.mu.Unlock()
	return r.at.Load() >= uint64(r.crowd.mark)
}

// standStill reads nothing until the server has asked what to do about it, and then for a few batches more, so that the
// answer does not come too late. It returns how often the server has asked.
func (r *reading) standStill(seen int64) int64 {
	r.crowd.tell(func() { r.still.Store(true) })
	defer r.crowd.tell(func() { r.still.Store(false) })
	asked, began := 0, 0
	r.crowd.await(func() bool {
		n := r.crowd.batches
		if began == 0 {
			began = n
		}
		if asked == 0 && r.asked.Load() > seen {
			asked = n
		}
		// While obsolete events are skipped, nobody is asked.
		return asked > 0 && n >= asked+3 || seen > 0 && n >= began+200 || r.crowd.final != 0
	})
	return r.asked.Load()
}

// meddle changes what the client follows, or has something sent to it alone.
func (r *reading) meddle() {
	client := r.handle.Load()
	if client == nil || client.Request().URL.Query().Get("visit") != strconv.Itoa(len(r.visits)) {
		return
	}
	c := r.crowd
	switch t := r.rng.IntN(topics); {
	case r.rng.IntN(2) == 0:
		r.follower.sends++
		var err error
		s := sent{n: r.follower.sends}
		s.call = c.time(func() { err = client.Send(sse.Event{Event: "private", Data: strconv.Itoa(s.n)}) })
		if err == nil {
			r.visit.sends = append(r.visit.sends, s)
		}
	case r.leaves[t] != nil:
		at := c.time(r.leaves[t])
		delete(r.leaves, t)
		r.follower.topics &^= 1 << t
		r.moves = append(r.moves, move{at, t, false})
	case !r.follower.topics.has(t):
		var err error
		var leave func()
		at := c.time(func() { leave, err = c.site.broker.Subscribe(client, topicName(t)) })
		if err == nil {
			r.leaves[t] = leave
			r.follower.topics |= 1 << t
			r.moves = append(r.moves, move{at, t, true})
		}
	}
}
