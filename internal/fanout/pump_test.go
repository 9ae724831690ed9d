package fanout

import (
	"container/list"
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

// judged is a pump that is driven by hand, by a clock that each look moves on.
type judged struct {
	*pump
	time    time.Time
	look    time.Duration
	members []*peer
}

// judging returns a pump that watches n members that refuse and have nothing due.
func judging(t *testing.T, n int, look time.Duration) *judged {
	p := &judged{pump: &pump{slow: list.New()}, time: time.Now(), look: look}
	p.now = func() time.Time {
		defer func() { p.time = p.time.Add(p.look) }()
		return p.time
	}
	c := newTestCore(t, Config{})
	for range n {
		m := open(t, c, "", "a")
		m.refuse()
		p.members = append(p.members, m)
		p.watch(m.Member)
		p.watch(m.Member)
	}
	return p
}

// seen returns the members that were looked at since the last time: that armed them.
func (p *judged) seen() (who []int) {
	for i, m := range p.members {
		m.mu.Lock()
		if m.armed {
			who = append(who, i)
		}
		m.armed = false
		m.mu.Unlock()
	}
	return who
}

func TestPump_LooksAtAllThatItsBudgetAllows(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := judging(t, 5, 0)
		for range 2 { // looks that take no time need no rest
			p.news = true
			if next := p.judge(); next != time.Second {
				t.Errorf("looks again after %v, want 1s", next)
			}
			if got := p.seen(); len(got) != 5 {
				t.Errorf("looked at %v, want all", got)
			}
		}
		p.look, p.news = lookBudget/2, true
		if next := p.judge(); next != lookRest*lookBudget {
			t.Errorf("looks again after %v, want %v", next, lookRest*lookBudget)
		}
		if got := p.seen(); !slices.Equal(got, []int{0, 1}) {
			t.Errorf("looked at %v, want the first two", got)
		}
	})
}

func TestPump_RestsAndGoesOnWhereItWas(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := judging(t, 3, lookBudget)
		began := p.time
		for i := range 7 {
			p.news = true
			next := p.judge()
			if got := p.seen(); !slices.Equal(got, []int{i % 3}) {
				t.Fatalf("looked at %v, want %d", got, i%3)
			}
			p.time = p.time.Add(-p.look) // what the look took, and no more
			for range 3 {
				p.news = true
				left := p.judge()
				p.time = p.time.Add(-p.look)
				if got := p.seen(); len(got) > 0 || left != next {
					t.Fatalf("looked at %v while it rests, for %v more; want %v", got, left, next)
				}
			}
			p.time = p.time.Add(next)
		}
		if got, want := p.time.Sub(began), 7*(1+lookRest)*lookBudget; got != want {
			t.Errorf("seven looks took %v, want %v", got, want)
		}
	})
}

func TestPump_LooksOnceASecondWithoutNews(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := judging(t, 3, lookBudget)
		for range 2 {
			start := p.time.Add(p.look)
			for i, want := range []time.Duration{lookRest * lookBudget, lookRest * lookBudget, 0} {
				next := p.judge()
				if got := p.seen(); !slices.Equal(got, []int{i}) {
					t.Fatalf("looked at %v, want %d", got, i)
				}
				if want > 0 && next != want {
					t.Errorf("goes on after %v, want %v", next, want)
				}
				p.time = p.time.Add(next)
			}
			p.time = start.Add(time.Second - 2*p.look)
			if next := p.judge(); next != p.look || len(p.seen()) > 0 {
				t.Errorf("%v before the second is over: looks again after %v", p.look, next)
			}
		}
		// One whose time comes earlier is looked at then.
		p.look = 0
		p.news = true
		p.members[1].Blocked(p.time.Add(time.Millisecond).UnixNano())
		if next := p.judge(); next != time.Millisecond || !slices.Equal(p.seen(), []int{0, 2}) {
			t.Errorf("looks again after %v, want 1ms", next)
		}
		p.time = p.time.Add(time.Millisecond)
		if next := p.judge(); next != time.Second || len(p.seen()) != 3 {
			t.Errorf("looks again after %v, want 1s", next)
		}
	})
}

func TestPump_ForgetsWhoTakesBytesAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := judging(t, 3, 0)
		p.members[1].Blocked(0)
		p.judge()
		if got := p.seen(); !slices.Equal(got, []int{0, 2}) || p.slow.Len() != 2 {
			t.Errorf("looked at %v, watches %d; want the two that refuse", got, p.slow.Len())
		}
		p.members[1].refuse()
		p.watch(p.members[1].Member)
		p.news = true
		p.judge()
		if got := p.seen(); len(got) != 3 {
			t.Errorf("looked at %v, want all", got)
		}
		for _, m := range p.members {
			m.Blocked(0)
		}
		p.news = true
		if next := p.judge(); next != 0 || p.slow.Len() != 0 {
			t.Errorf("watches %d, looks again after %v; want nobody, never", p.slow.Len(), next)
		}
	})
}
