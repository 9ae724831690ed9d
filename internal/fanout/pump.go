package fanout

import (
	"sync"
	"time"
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
	slow   map[*Member]struct{} // blocked with something due, as far as known
	laps   []*lap               // not yet over
}

func newPump(c *Core) *pump {
	p := &pump{
		core: c, wakes: make(chan struct{}, 1), quit: make(chan struct{}),
		topics: make(map[*Topic]map[*Member]struct{}), slow: make(map[*Member]struct{}),
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
	moves, dirty := c.moves, c.dirty
	p.laps = append(p.laps, c.laps...)
	c.moves, c.dirty, c.laps = nil, nil, nil
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
			m.driver.Wake()
			if m.blockedFrom.Load() != 0 {
				p.slow[m] = struct{}{}
			}
		}
	}
}

// judge looks at the blocked members and returns when it wants to look again, or 0.
func (p *pump) judge() (next time.Duration) {
	now := nanotime()
	for m := range p.slow {
		from := m.blockedFrom.Load()
		switch {
		case from == 0:
			delete(p.slow, m)
			continue
		case from <= now:
			m.judge()
			from = now + int64(time.Second)
		}
		if wait := time.Duration(from - now); next == 0 || wait < next {
			next = wait
		}
	}
	return next
}
