package enginetest

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"github.com/goceleris/celeris/engine"
	"github.com/goceleris/celeris/internal/fanout"
	"github.com/goceleris/celeris/internal/memnet"
)

const steps = 100 // of one schedule

// Model plays so many random schedules on rigs that open makes, each in a bubble of its own: publishers, readers of any
// speed, partial writes, stalls, disconnections at any byte, resumes, joins and leaves, private frames, ends of all
// kinds, and time. Every viewer judges what it gets. ENGINE_SEED in the environment plays one schedule.
func Model(t *testing.T, open func(t testing.TB) Rig, schedules int) {
	first, last := uint64(0), uint64(schedules)
	if one, err := strconv.ParseUint(os.Getenv("ENGINE_SEED"), 10, 64); err == nil {
		first, last = one, one+1
	}
	var sum tally
	bad := 0
	for seed := first; seed < last && bad < 5; seed++ {
		var m *model
		synctest.Test(t, func(t *testing.T) {
			m = newModel(t, open(t), seed)
			m.run()
			sum.add(m)
		})
		if len(m.wrong) == 0 {
			continue
		}
		bad++
		for _, s := range m.wrong {
			t.Errorf("seed %d: %s", seed, s)
		}
		t.Logf("run it again: ENGINE_SEED=%d go test -run '%s$' -v .", seed, t.Name())
	}
	t.Log(&sum)
	if last-first > 100 && (sum.resyncs == 0 || sum.conflated == 0 || sum.beats == 0 || sum.stalled == 0 || sum.old == 0 || sum.farewells == 0) {
		t.Errorf("the schedules show too little: %v", &sum)
	}
}

// tally is what schedules consist of.
type tally struct {
	schedules, links, events, seen, privates, resyncs, conflated, beats, farewells, stalled, old int
	time                                                                                         time.Duration
}

func (s *tally) String() string {
	return fmt.Sprintf("%d schedules, %v of their time, %d connections, %d events published, %d seen, %d private frames, %d resyncs, "+
		"%d obsolete, %d heartbeats, %d farewells, %d stalls, %d of age",
		s.schedules, s.time, s.links, s.events, s.seen, s.privates, s.resyncs, s.conflated, s.beats, s.farewells, s.stalled, s.old)
}

func (s *tally) add(m *model) {
	s.schedules++
	s.time += time.Since(m.begin)
	s.links += len(m.links)
	s.events += len(m.events)
	for _, v := range m.viewers {
		s.seen += len(v.seen)
		s.resyncs += len(v.resyncs)
		s.conflated += v.conflated
		s.beats += len(v.beats)
		s.privates += v.sent
		s.farewells += v.farewells
	}
	for _, l := range m.links {
		for _, e := range l.told() {
			switch {
			case errors.Is(e.Reason, errOld):
				s.old++
			case errors.Is(e.Reason, engine.ErrStalled):
				s.stalled++
			}
		}
	}
}

// model is one schedule. Between two steps everything comes to rest, so a seed names a schedule.
type model struct {
	*world
	r      *rand.Rand
	begin  time.Time
	topics int
}

func newModel(t testing.TB, rig Rig, seed uint64) *model {
	r := rand.New(rand.NewPCG(seed, 11))
	limit := 2 + r.IntN(8)
	cfg := fanout.Config{SubscriberBuffer: limit, History: limit + r.IntN(20)}
	if r.IntN(2) == 0 {
		cfg.History = 4000
	}
	if r.IntN(3) == 0 {
		cfg.MaxLagBytes = 200 + r.IntN(1000)
	}
	m := &model{world: newWorld(t, rig, cfg), r: r, begin: time.Now(), topics: 1 + r.IntN(4)}
	m.pace.MaxStall = 4 * time.Second
	m.pace.Heartbeat = time.Duration(500+r.IntN(2000)) * time.Millisecond
	if r.IntN(2) == 0 {
		m.pace.MaxAge = time.Duration(1+r.IntN(20)) * time.Second
	}
	m.verdict = func(l *link) fanout.Verdict {
		dice := rand.New(rand.NewPCG(seed, uint64(l.v.i*100+l.asked)))
		if dice.IntN(3) == 0 {
			time.Sleep(time.Duration(dice.IntN(2000)) * time.Millisecond)
		}
		return fanout.Verdict(dice.IntN(5))
	}
	for range 1 + r.IntN(4) {
		want := m.pick()
		want |= m.pick()
		v := m.viewer(want, "")
		v.still = true
		m.connect(v)
	}
	return m
}

// pick picks topics, one more often than several.
func (m *model) pick() set {
	s := set(1) << m.r.IntN(m.topics)
	for m.r.IntN(4) == 0 {
		s |= 1 << m.r.IntN(m.topics)
	}
	return s
}

func (m *model) connect(v *viewer) {
	m.buffer = 1 + m.r.IntN(40)
	if m.r.IntN(2) == 0 {
		m.buffer += m.r.IntN(2000)
	}
	v.connect()
}

func (m *model) run() {
	for range steps {
		m.step(m.viewers[m.r.IntN(len(m.viewers))], m.r.IntN(100))
		synctest.Wait()
		m.check()
		if len(m.wrong) > 0 {
			break
		}
	}
	m.rest()
	if m.r.IntN(2) == 0 {
		for _, v := range m.viewers {
			if v.link != nil {
				v.link.finish(true)
			}
		}
		m.settle()
		time.Sleep(2 * time.Second)
	}
	m.end()
}

// step is one thing that happens, most of them to v.
func (m *model) step(v *viewer, x int) {
	switch l := v.link; {
	case x < 25:
		for range 1 + m.r.IntN(1+m.r.IntN(12)) {
			pad := m.r.IntN(40)
			if m.r.IntN(20) == 0 {
				pad = m.r.IntN(5000)
			}
			m.publish([]string{"", "", "x", "y"}[m.r.IntN(4)], pad, m.pick())
			if m.r.IntN(3) == 0 {
				synctest.Wait()
			}
		}
	case x < 60:
		for _, v := range m.viewers {
			for range m.r.IntN(4) {
				v.pull(1 + m.r.IntN(300))
				synctest.Wait()
			}
		}
	case x < 70:
		time.Sleep(time.Duration(m.r.IntN(1000)) * time.Millisecond)
	case x < 71:
		time.Sleep(time.Duration(m.r.IntN(8000)) * time.Millisecond)
	case l == nil:
		m.connect(v)
	case x < 77:
		l.leave([]func(*memnet.Conn){closing, halfway, breaking}[m.r.IntN(3)])
	case x < 83:
		l.send()
	case x < 87:
		if t := m.r.IntN(m.topics); v.want>>t&1 == 0 {
			v.join(t)
		} else if v.want != 1<<t {
			v.leave(t)
		}
	case x < 90:
		_, _ = l.conn.TryWrite(make([]byte, m.r.IntN(100)))
	case x < 92:
		l.finish(m.r.IntN(2) == 0)
	case x < 94:
		l.cut()
	default:
		for m.r.IntN(3) > 0 && v.link != nil {
			v.pull(1 << 20)
			synctest.Wait()
		}
	}
}

// rest lets everything become quiet; then nobody may lack anything, and everybody knows where it is.
func (m *model) rest() {
	m.pace.MaxAge = 0
	m.mu.Lock()
	m.verdict = nil
	m.mu.Unlock()
	for _, v := range m.viewers {
		v.still = false
	}
	time.Sleep(3 * time.Second) // verdicts
	m.settle()
	for _, v := range m.viewers {
		for range 2 {
			if v.link != nil && (v.removed || v.link.stream.Parking.MaxAge > 0 || v.link.finished) {
				v.link.leave(closing)
			}
			if v.link == nil {
				m.connect(v)
			}
			m.settle()
		}
	}
	for range 2 {
		time.Sleep(m.pace.Heartbeat + time.Second)
		m.settle()
	}
	for _, v := range m.viewers {
		m.complete(v)
		switch {
		case v.link == nil:
			m.fail("%v: does not stay connected", v)
		case v.pos != m.core.Head():
			m.fail("%v: stands at %d of %d in silence", v, v.pos, m.core.Head())
		case len(v.rest) > 0:
			m.fail("%v: holds the beginning of a frame in silence: %q", v, v.rest)
		}
	}
}
