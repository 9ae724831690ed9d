package fanout

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"math/rand/v2"
	"slices"
	"sort"
	"strings"
	"testing/synctest"
	"time"
)

var errCut = errors.New("cut")

// event is what the oracle knows of a published frame.
type event struct {
	n      int
	pos    Position
	topics uint64
	key    int
	size   int // with its stamp
	rank   map[int]int
}

// world is one schedule: a core, its clients and what happens to them. Everything runs on one goroutine in a
// bubble; between two steps the core's own goroutines come to rest, so a seed names a schedule.
type world struct {
	r     *rand.Rand
	dice  *rand.Rand // of the fault, so that it does not change the schedule
	fault fault
	cfg   Config
	core  *Core
	gate  *gate
	steps int
	// hurry is the context of publishers; one that has ended keeps them from waiting for passes.
	hurry context.Context
	// strict says that only History limits retention: then what is gone is known to the event.
	strict  bool
	twins   bool
	topics  []string
	counts  []int // events ever published, by topic
	clients []*client
	conns   []*conn

	events    []*event            // by number, from 1
	truth     map[string][]*event // by epoch, in order
	barriers  map[int]Position    // of private frames
	delivered int

	gathered, dropped, resyncs int64 // what the core handed out, by our account

	step  int
	err   string
	trace bool
	lines []string
}

func newWorld(seed uint64, f fault, steps int) *world {
	r := rand.New(rand.NewPCG(seed, 7))
	w := &world{
		r: r, dice: rand.New(rand.NewPCG(seed, 8)), fault: f, steps: steps, strict: r.IntN(2) == 0, twins: seed%2 == 0,
		truth: map[string][]*event{}, barriers: map[int]Position{}, hurry: context.Background(),
	}
	if r.IntN(10) > 0 {
		ctx, cancel := context.WithCancel(w.hurry)
		cancel()
		w.hurry = ctx
	}
	limit := 2 + r.IntN(8)
	w.cfg = Config{
		Framing: textFraming{}, SubscriberBuffer: limit, History: limit + r.IntN(20), HistoryAge: time.Hour,
		SnapshotTimeout: 5 * time.Second, Logger: quiet,
	}
	if r.IntN(3) == 0 {
		w.cfg.MaxLagBytes = 100 + r.IntN(500)
	}
	topics := 1 + r.IntN(5)
	if !w.strict {
		w.cfg.MaxLagBytes = cmp.Or(w.cfg.MaxLagBytes, 400)
		w.cfg.HistoryBytes = 1200 + r.IntN(6000)
		w.cfg.HistoryAge = time.Duration(2+r.IntN(20)) * time.Second
		w.cfg.MaxTopics = 1 + topics - r.IntN(2) // the gate has one of its own
	}
	if r.IntN(3) > 0 {
		w.cfg.OnSlow = w.onSlow
	}
	if r.IntN(3) == 0 {
		w.cfg.Snapshot = w.snapshot
	}
	w.counts = make([]int, topics)
	w.start(topics)
	for i := range 1 + r.IntN(5) {
		want := w.pick()
		want |= w.pick()
		w.clients = append(w.clients, &client{w: w, i: i, want: want, seen: map[int]bool{}})
	}
	w.cfg = w.core.cfg
	return w
}

// start makes a core and names its topics so that no two share a floor.
func (w *world) start(topics int) {
	w.core = NewCore(w.cfg)
	w.gate = &gate{open: make(chan struct{})}
	w.topics = nil
	w.core.floors.raise("", 0)
	bucket := func(name string) uint64 { return maphash.String(w.core.floors.seed, name) % floorBuckets }
	used := []uint64{bucket("gate")}
	for i := 0; len(w.topics) < topics; i++ {
		name := fmt.Sprintf("topic-%03d", i)
		if b := bucket(name); !slices.Contains(used, b) {
			used, w.topics = append(used, b), append(w.topics, name)
		}
	}
	m := NewMember(w.gate, nobody{}, 1)
	if err := w.core.Open(m, "", "gate"); err != nil {
		panic(err)
	}
	w.gate.member = m
	w.settle()
}

// stop ends everything that belongs to the core.
func (w *world) stop() {
	w.gate.member.End(errCut)
	for _, c := range w.clients {
		c.cut()
	}
	w.settle()
	for range 3 {
		for _, c := range w.conns {
			for c.ask != nil || len(c.snaps) > 0 {
				c.answer(Drop, true)
				synctest.Wait()
			}
		}
	}
	if err := w.core.Stop(context.Background()); err != nil {
		w.fail("Stop: %v", err)
	}
	if s := w.core.Stats(); w.err == "" && (s.Delivered != w.gathered || s.Dropped != w.dropped || s.Resyncs != w.resyncs || s.Members != 0) {
		w.fail("stats %+v, want %d delivered, %d dropped, %d resyncs, no members", s, w.gathered, w.dropped, w.resyncs)
	}
	w.gathered, w.dropped, w.resyncs, w.conns = 0, 0, 0, nil
	clear(w.counts)
}

func (w *world) fail(format string, args ...any) {
	if w.err == "" {
		w.err = fmt.Sprintf("step %d: ", w.step) + fmt.Sprintf(format, args...)
		w.log("FAIL")
	}
}

func (w *world) log(format string, args ...any) {
	if w.trace {
		w.lines = append(w.lines, fmt.Sprintf("%d: ", w.step)+fmt.Sprintf(format, args...))
	}
}

// settle lets the core come to rest and checks what it asked meanwhile.
func (w *world) settle() {
	synctest.Wait()
	for _, c := range w.conns {
		c.asked()
		c.observe(true)
	}
}

// settleBehind is settle while the pump is held up: it can't have judged anybody.
func (w *world) settleBehind() {
	synctest.Wait()
	for _, c := range w.conns {
		c.observe(false)
	}
}

func (w *world) pick() uint64 {
	mask := uint64(1) << w.r.IntN(len(w.topics))
	for w.r.IntN(4) == 0 {
		mask |= 1 << w.r.IntN(len(w.topics))
	}
	return mask
}

func (w *world) names(mask uint64) (names []string) {
	for t, name := range w.topics {
		if mask>>t&1 == 1 {
			names = append(names, name)
		}
	}
	return names
}

func (w *world) publish() {
	mask, n := w.pick(), len(w.events)+1
	body, key := eventBody(n, w.r.IntN(30)), w.r.IntN(4)
	names := w.names(mask)
	if w.r.IntN(8) == 0 {
		names = append(names, names[0])
	}
	f := Frame{Key: strings.Repeat("k", key), Bytes: body}
	if window := w.dice.IntN(12); w.twins && window > 8 {
		pad := strings.Count(string(body), ".")
		f.Window, f.Twin = uint8(window), eventTwin(n, pad, uint8(window))
	}
	rec, err := w.core.PublishFrame(w.hurry, f, names...)
	p := rec.Position
	if errors.Is(err, ErrTooManyTopics) && !w.strict {
		return
	}
	if err != nil {
		w.fail("Publish: %v", err)
		return
	}
	e := &event{n: n, pos: p, topics: mask, key: key, size: len(textFraming{}.AppendStamp(nil, w.core.Epoch(), p)) + len(body), rank: map[int]int{}}
	for t := range w.topics {
		if mask>>t&1 == 1 {
			w.counts[t]++
			e.rank[t] = w.counts[t]
		}
	}
	w.log("publish e%d at %d to %v", n, p, names)
	w.events = append(w.events, e)
	w.truth[w.core.Epoch()] = append(w.truth[w.core.Epoch()], e)
}

// obsolete reports whether a later event that is due to c too makes e obsolete.
func (w *world) obsolete(c *client, e *event) bool {
	return e.key != 0 && slices.ContainsFunc(w.published(c.life, e.pos, forever), func(f *event) bool {
		return f.key == e.key && e.topics&^f.topics == 0 && c.due(f)
	})
}

// published returns the events of an epoch in (from, to].
func (w *world) published(epoch string, from, to Position) []*event {
	all := w.truth[epoch]
	i := sort.Search(len(all), func(i int) bool { return all[i].pos > from })
	j := sort.Search(len(all), func(i int) bool { return all[i].pos > to })
	return all[i:max(i, j)]
}

func (w *world) event(epoch string, n int) *event {
	if n < 1 || n > len(w.events) || !slices.Contains(w.truth[epoch], w.events[n-1]) {
		return nil
	}
	return w.events[n-1]
}

// due counts what is due to a connection behind what went to its wire.
func (w *world) due(c *conn) (frames, size int) {
	for _, e := range w.published(w.core.Epoch(), c.at, w.core.Head()) {
		if c.client.due(e) {
			frames, size = frames+1, size+e.size
		}
	}
	return frames, size
}

// gone reports whether something that is due to the connection need not be in the logs any more.
func (w *world) gone(c *conn) bool {
	if !w.strict {
		return w.freed(c)
	}
	return w.lost(c, func(e *event, t int) bool { return w.counts[t]-e.rank[t] >= w.cfg.History })
}

// freed reports whether something that is due to the connection is not in the logs any more.
func (w *world) freed(c *conn) bool {
	w.core.mu.Lock()
	defer w.core.mu.Unlock()
	return w.lost(c, func(e *event, t int) bool {
		topic := w.core.topics[w.topics[t]]
		return topic == nil || topic.view.Load().freed >= e.pos
	})
}

func (w *world) lost(c *conn, lost func(*event, int) bool) bool {
	for _, e := range w.published(w.core.Epoch(), c.at, w.core.Head()) {
		for _, s := range c.client.spans {
			if e.topics>>s.topic&1 == 1 && s.from < e.pos && e.pos <= s.until && lost(e, s.topic) {
				return true
			}
		}
	}
	return false
}

// account counts a frame that the core handed out.
func (w *world) account(frame []byte) {
	b, err := parseBlock(string(frame[:max(0, len(frame)-2)]))
	switch {
	case err != nil:
		w.fail("core handed out %v", err)
	case b.kind == kindEvent:
		w.gathered++
	case (b.kind == kindResync || b.kind == kindSnap) && b.reason != New && b.id != "":
		w.dropped += int64(b.n)
		w.resyncs++
	}
}

func (w *world) onSlow(o Owner, lag Lag) Verdict {
	c, a := o.(*conn), &lagAsk{lag, make(chan Verdict)}
	if c.ask != nil {
		w.fail("client %d: asked twice in one episode", c.client.i)
	}
	c.ask = a
	return <-a.answer
}

func (w *world) snapshot(_ context.Context, o Owner, n Notice) ([]byte, error) {
	c, a := o.(*conn), &snapAsk{n, make(chan bool)}
	c.snaps = append(c.snaps, a)
	if !<-a.answer {
		return nil, errors.New("no snapshot")
	}
	return snapBody(n), nil
}

// gate is a member whose driver holds the pump up, so that much can happen between two of its rounds.
type gate struct {
	member *Member
	shut   bool
	open   chan struct{}
}

func (g *gate) Interrupt() {}
func (g *gate) Wake() {
	if g.shut {
		<-g.open
	}
}

type nobody struct{}

func (nobody) Farewell(error) []byte { return nil }
func (nobody) Lost(int) []byte       { return nil }

// behind runs f while the pump is held up.
func (w *world) behind(f func()) {
	w.gate.shut = true
	if _, err := w.core.Publish(w.hurry, []byte("gate\n\n"), "gate"); err != nil {
		w.fail("Publish: %v", err)
	}
	synctest.Wait()
	f()
	w.gate.shut = false
	w.gate.open <- struct{}{}
	w.settle()
}
