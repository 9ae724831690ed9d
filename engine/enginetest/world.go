package enginetest

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"slices"
	"sort"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/goceleris/celeris/engine"
	"github.com/goceleris/celeris/internal/fanout"
	"github.com/goceleris/celeris/internal/park"
)

const forever = ^fanout.Position(0)

// set is a set of topics, a bit for each.
type set uint8

func topic(t int) string { return string(rune('a' + t)) }

func (s set) names() (names []string) {
	for t := range 8 {
		if s>>t&1 == 1 {
			names = append(names, topic(t))
		}
	}
	return names
}

// event is what is known of a published frame.
type event struct {
	n      int
	pos    fanout.Position
	topics set
	key    string
	size   int // bytes on the wire
}

// world is a core, those who publish to it and those who look at it through a rig.
type world struct {
	t      testing.TB
	rig    Rig
	core   *fanout.Core
	cfg    fanout.Config // with its defaults
	pace   park.Pace
	buffer int                      // of the next connections
	ears   func(*link) park.Inbound // who listens to their clients; nil for nobody
	early  string                   // what these have said already

	mu      sync.Mutex                 // guards what follows, and what callbacks write to links
	verdict func(*link) fanout.Verdict // nil for Drop
	last    int                        // number of the newest event
	events  []*event                   // by position
	byN     map[int]*event
	ranks   [8][]fanout.Position // what each topic has
	wrong   []string

	viewers  []*viewer
	links    []*link
	barriers map[int]fanout.Position // of private frames
	buf      [4096]byte
}

// newWorld starts a core for a rig. In a history of 1000 frames for each topic nothing expires by its age.
func newWorld(t testing.TB, r Rig, cfg fanout.Config) *world {
	w := &world{t: t, rig: r, buffer: 256, byN: map[int]*event{}, barriers: map[int]fanout.Position{}}
	w.pace = park.Pace{MaxStall: time.Minute, Heartbeat: 15 * time.Second, Beat: []byte(comment)}
	cfg.Framing, cfg.HistoryAge = framing{}, 1000*time.Hour
	cfg.Logger = slog.New(slog.DiscardHandler)
	cfg.SubscriberBuffer = cmp.Or(cfg.SubscriberBuffer, fanout.DefaultSubscriberBuffer)
	cfg.MaxLagBytes = cmp.Or(cfg.MaxLagBytes, fanout.DefaultMaxLagBytes)
	cfg.History = max(cmp.Or(cfg.History, 1000), cfg.SubscriberBuffer)
	cfg.OnSlow = func(o fanout.Owner, _ fanout.Lag) fanout.Verdict { return o.(*link).slow() }
	w.cfg, w.core = cfg, fanout.NewCore(cfg)
	return w
}

// end brings everything down and looks at how it ended.
func (w *world) end() {
	for _, l := range w.links {
		l.may(engine.ErrCut, engine.ErrPeerGone)
	}
	closed := make(chan struct{})
	go func() {
		defer close(closed)
		w.rig.Close()
	}()
	select {
	case <-closed:
	case <-time.After(time.Hour):
		// The bubble would go on for ever.
		panic(fmt.Sprintf("enginetest: Close of the rig does not return; before that: %q", w.wrong))
	}
	synctest.Wait()
	w.check()
	for _, l := range w.links {
		if len(l.told()) != 1 {
			w.fail("%v: %d ends when all is over", l, len(l.told()))
		}
		_ = l.conn.Close()
	}
	if s := w.core.Stats(); s.Members != 0 {
		w.fail("%d members are left", s.Members)
	}
	if err := w.core.Stop(context.Background()); err != nil {
		w.fail("stop: %v", err)
	}
	if w.rig.Stats != nil {
		if s := w.rig.Stats(); s.Streams != 0 || s.Refused != 0 {
			w.fail("stats at the end: %+v", s)
		}
	}
}

func (w *world) fail(format string, args ...any) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.wrong) < 5 {
		w.wrong = append(w.wrong, fmt.Sprintf(format, args...))
	}
}

// publish publishes one event. Several goroutines may do so at a time.
func (w *world) publish(key string, pad int, topics set) {
	w.mu.Lock()
	w.last++
	n := w.last
	w.mu.Unlock()
	text := body(n, pad)
	p, err := w.core.PublishKeyed(context.Background(), key, text, topics.names()...)
	if err != nil {
		w.fail("publish: %v", err)
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	e := &event{n: n, pos: p, topics: topics, key: key, size: len(framing{}.AppendStamp(nil, w.core.Epoch(), p)) + len(text)}
	i := sort.Search(len(w.events), func(i int) bool { return w.events[i].pos > p })
	w.events, w.byN[n] = slices.Insert(w.events, i, e), e
	for t := range w.ranks {
		if topics>>t&1 == 1 {
			i, _ := slices.BinarySearch(w.ranks[t], p)
			w.ranks[t] = slices.Insert(w.ranks[t], i, p)
		}
	}
	for _, v := range w.viewers {
		v.mayLag()
	}
}

// some publishes n events of the same size to the first topic.
func (w *world) some(n, pad int) {
	for range n {
		w.publish("", pad, 1)
	}
}

// published returns the events in (from, to].
func (w *world) published(from, to fanout.Position) []*event {
	i := sort.Search(len(w.events), func(i int) bool { return w.events[i].pos > from })
	j := sort.Search(len(w.events), func(i int) bool { return w.events[i].pos > to })
	return w.events[i:max(i, j)]
}

// gone reports whether the history of a topic no longer reaches back to p.
func (w *world) gone(t int, p fanout.Position) bool {
	i, _ := slices.BinarySearch(w.ranks[t], p+1)
	return len(w.ranks[t])-i > w.cfg.History
}

// id names a position.
func (w *world) id(p fanout.Position) string {
	return string(fanout.AppendID(nil, w.core.Epoch(), p))
}

// viewer returns a new one that wants some topics. With from, it comes back as if it had been at that id.
func (w *world) viewer(want set, from string) *viewer {
	v := &viewer{w: w, i: len(w.viewers), want: want, lastID: from, seen: map[int]bool{}}
	w.viewers = append(w.viewers, v)
	return v
}

// watch returns a new viewer of the first topic that is connected.
func (w *world) watch(buffer int) *viewer {
	v := w.viewer(1, "")
	w.buffer = buffer
	v.connect()
	return v
}

// settle lets everybody read, but for those that stand still, until there is nothing left to do.
func (w *world) settle() {
	for more := true; more; {
		synctest.Wait()
		more = false
		for _, v := range w.viewers {
			if !v.still && v.pull(1<<20) > 0 {
				more = true
			}
		}
	}
	w.check()
}

// pass lets time pass; everybody reads twenty times a second.
func (w *world) pass(d time.Duration) {
	for end := time.Now().Add(d); time.Now().Before(end); {
		time.Sleep(min(50*time.Millisecond, time.Until(end)))
		w.settle()
	}
}

// check looks at the connections that have ended.
func (w *world) check() {
	for _, l := range w.links {
		l.check()
	}
}

// complete fails unless v has everything that is due to it.
func (w *world) complete(v *viewer) {
	if x := v.missed(v.pos, forever); len(x) > 0 {
		w.fail("%v: stands at %d without the event at %d and %d more", v, v.pos, x[0].pos, len(x)-1)
	}
}
