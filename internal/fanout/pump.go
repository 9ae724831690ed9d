package fanout

import (
	"container/list"
	"sync"
	"time"
)

const (
	// lookBudget is how long the pump looks at blocked members before it wakes again who has something due.
	lookBudget = 100 * time.Microsecond
	// lookRest is how many times as long as it looked it leaves them alone then. So it spends no more than one part in 33
	// of its time on them, however many they are and however much they have due; the others would wait for that.
	//
	// A lag that is noticed late harms nobody: a member that waits to be judged holds no memory, since cursors pin
	// nothing; that retention has passed it, its next pass sees; one whose transport takes nothing is ended by its driver.
	// Only the question what to do with it comes later, and more of it is served if it reads on before. A member that has
	// refused from its first byte may be beyond its limits when it is first seen; it counts as one that replays then, as it
	// does behind a burst.
	lookRest = 32
)

func nanotime() int64 { return time.Now().UnixNano() }

// move is a join or a leave that the pump has not seen yet.
type move struct {
	m    *Member
	t    *Topic
	join bool
}

// moved leaves a move for the pump. It runs under the core's lock.
func (c *Core) moved(v move) {
	if !c.stopped {
		c.moves = append(c.moves, v)
	}
}

// pump wakes the members of topics that were published to, so that publishers don't, and judges those whose
// transport refuses bytes. It alone knows which members a topic has; it learns of it in the order in which
// joins, leaves and publishes happened.
type pump struct {
	core   *Core
	wakes  chan struct{}
	quit   chan struct{}
	once   sync.Once
	done   sync.WaitGroup
	topics map[*Topic]map[*Member]struct{}
	laps   []*lap // not yet over

	slow  *list.List // members that are blocked with something due, as far as known; whom it looked at last is last
	owed  int        // how many of them, at the front, it has yet to look at
	news  bool       // there was something new since it began with all of them
	again int64      // when it wants to look at all of them without news, Unix nanoseconds
	rest  time.Time  // before which it does not look at any
	now   func() time.Time
}

func newPump(c *Core) *pump {
	p := &pump{
		core: c, wakes: make(chan struct{}, 1), quit: make(chan struct{}),
		topics: make(map[*Topic]map[*Member]struct{}), slow: list.New(), now: time.Now,
	}
	p.done.Go(p.run)
	return p
}

func (p *pump) kick() {
	select {
	case p.wakes <- struct{}{}:
	default:
	}
}

func (p *pump) stop() {
	p.once.Do(func() { close(p.quit) })
	p.done.Wait()
}

func (p *pump) run() {
	sweep := time.NewTicker(max(p.core.cfg.HistoryAge/8, time.Millisecond))
	defer sweep.Stop()
	recheck := time.NewTimer(time.Hour)
	defer recheck.Stop()
	for {
		select {
		case <-p.quit:
			return
		case <-sweep.C:
			p.core.sweep()
			continue
		case <-recheck.C:
		case <-p.wakes:
			p.news = true
		}
		p.round()
		next := p.judge()
		if p.finish(); len(p.laps) > 0 {
			next = lapCheck
		}
		if next > 0 {
			recheck.Reset(next)
		}
	}
}

// round brings the member lists up to date and wakes who has something due.
func (p *pump) round() {
	c := p.core
	c.mu.Lock()
	moves, dirty, refusing := c.moves, c.dirty, c.refusing
	p.laps = append(p.laps, c.laps...)
	c.moves, c.dirty, c.laps, c.refusing = nil, nil, nil, nil
	for _, t := range dirty {
		t.dirty = false
	}
	c.mu.Unlock()
	for _, v := range moves {
		set := p.topics[v.t]
		if v.join {
			if set == nil {
				set = make(map[*Member]struct{})
				p.topics[v.t] = set
			}
			set[v.m] = struct{}{}
			continue
		}
		if delete(set, v.m); len(set) == 0 {
			delete(p.topics, v.t)
		}
	}
	for _, t := range dirty {
		for m := range p.topics[t] {
			m.wake()
			if m.blockedFrom.Load() != 0 {
				p.watch(m)
			}
		}
	}
	for _, m := range refusing {
		if m.blockedFrom.Load() != 0 {
			p.watch(m)
		}
	}
}

func (p *pump) watch(m *Member) {
	if !m.watched {
		m.watched = true
		p.slow.PushBack(m)
	}
}

// judge looks at blocked members, as many as its budget allows, and returns when it wants to look again, or 0.
func (p *pump) judge() (next time.Duration) {
	if p.slow.Len() == 0 {
		p.owed = 0
		return 0
	}
	began := p.now()
	now := began.UnixNano()
	if wait := p.rest.Sub(began); wait > 0 {
		return wait
	}
	if !p.news && p.owed == 0 && now < p.again {
		return time.Duration(p.again - now)
	}
	if p.news || p.owed == 0 {
		p.news, p.owed, p.again = false, p.slow.Len(), now+int64(time.Second)
	}
	took := time.Duration(0)
	for ; p.owed > 0 && took < lookBudget; p.owed-- {
		e := p.slow.Front()
		m := e.Value.(*Member)
		from := m.blockedFrom.Load()
		if from == 0 {
			m.watched = false
			p.slow.Remove(e)
			continue
		}
		p.slow.MoveToBack(e)
		if from <= now {
			m.judge()
		} else {
			p.again = min(p.again, from)
		}
		took = p.now().Sub(began)
	}
	p.rest = began.Add(took + lookRest*took)
	switch {
	case p.owed > 0:
		return lookRest * took
	case p.slow.Len() == 0:
		return 0
	default:
		return max(time.Duration(p.again-now), lookRest*took)
	}
}
