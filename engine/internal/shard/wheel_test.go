package shard

import (
	"cmp"
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

var zero = time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)

// hung returns nodes that hang in w, due after these times.
func hung(w *wheel, after ...time.Duration) []*Stream {
	list := make([]*Stream, len(after))
	for i, d := range after {
		list[i] = &Stream{}
		list[i].timer.stream = list[i]
		w.hang(&list[i].timer, zero.Add(d))
	}
	return list
}

func TestWheel_ComesUpInTimeAndNotBefore(t *testing.T) {
	const lap = slots * tick
	for _, after := range []time.Duration{
		1, tick - 1, tick, tick + 1, time.Second, lap - tick, lap, lap + tick, 3*lap + 7*tick, time.Hour, 1000 * time.Hour,
	} {
		w := newWheel(zero)
		s := hung(w, after)[0]
		at := zero.Add(after)
		if got := w.up(nil, at.Add(-1)); len(got) > 0 {
			t.Errorf("%v: up before its time", after)
		}
		if got := w.up(nil, at.Add(tick)); len(got) != 1 || got[0] != s {
			t.Errorf("%v: %d came up a tick later", after, len(got))
		}
		if w.count != 0 || len(w.up(nil, at.Add(5000*time.Hour))) > 0 {
			t.Errorf("%v: came up twice", after)
		}
	}
}

func TestWheel_PastIsTheNextTick(t *testing.T) {
	w := newWheel(zero)
	w.up(nil, zero.Add(time.Hour))
	hung(w, time.Second)
	if got := w.next(zero.Add(time.Hour)); got.Sub(zero) > time.Hour+2*tick {
		t.Errorf("next is %v from zero", got.Sub(zero))
	}
	if got := w.up(nil, zero.Add(time.Hour+tick)); len(got) != 1 {
		t.Errorf("%d came up", len(got))
	}
}

func TestWheel_AllComeUpAfterALongSleep(t *testing.T) {
	w := newWheel(zero)
	var after []time.Duration
	for i := range 3 * slots {
		after = append(after, time.Duration(i)*tick/2)
	}
	hung(w, after...)
	late := hung(w, 50*time.Hour)[0]
	if got := w.up(nil, zero.Add(49*time.Hour)); len(got) != len(after) {
		t.Errorf("%d of %d came up", len(got), len(after))
	}
	if got := w.up(nil, zero.Add(51*time.Hour)); len(got) != 1 || got[0] != late {
		t.Errorf("%d came up later", len(got))
	}
}

func TestWheel_EmptyHasNothingToWaitFor(t *testing.T) {
	w := newWheel(zero)
	if got := w.next(zero); got.Sub(zero) < time.Minute {
		t.Errorf("wants to be looked at after %v", got.Sub(zero))
	}
	s := hung(w, time.Second)[0]
	w.drop(&s.timer)
	w.drop(&s.timer) // harmless
	if w.count != 0 || len(w.up(nil, zero.Add(time.Minute))) > 0 {
		t.Error("came up though it was taken down")
	}
}

// TestWheel_IsASortedList plays a wheel against a plain list: streams are hung, moved and taken down, and the time goes
// on from one next to another.
func TestWheel_IsASortedList(t *testing.T) {
	for seed := range uint64(200) {
		r := rand.New(rand.NewPCG(seed, 3))
		w, now := newWheel(zero), zero
		streams := hung(w, make([]time.Duration, 50)...)
		due := map[*Stream]time.Time{}
		for _, s := range streams {
			due[s] = zero
		}
		for step := range 300 {
			s := streams[r.IntN(len(streams))]
			switch x := r.IntN(10); {
			case x < 5:
				at := now.Add(time.Duration(r.Int64N(int64(time.Duration(1) << (20 + r.IntN(25))))))
				w.hang(&s.timer, at)
				due[s] = at
			case x < 7:
				w.drop(&s.timer)
				delete(due, s)
			case x < 8:
				now = now.Add(time.Duration(r.Int64N(int64(3 * slots * tick))))
			default:
				next := w.next(now)
				if earliest, ok := first(due); ok && next.After(earliest.Add(tick)) && next.After(now.Add(tick)) {
					t.Fatalf("seed %d, step %d: next is %v, something is due %v", seed, step, next, earliest)
				}
				now = later(now, next)
			}
			up := w.up(nil, now)
			for _, s := range up {
				at, ok := due[s]
				if !ok || at.After(now) {
					t.Fatalf("seed %d, step %d: up at %v, due %v, hung %v", seed, step, now, at, ok)
				}
				delete(due, s)
			}
			for s, at := range due {
				if at.Add(2 * tick).Before(now) {
					t.Fatalf("seed %d, step %d: not up at %v, due %v, hangs %v", seed, step, now, at, s.timer.next != nil)
				}
			}
			if w.count != len(due) {
				t.Fatalf("seed %d, step %d: counts %d, want %d", seed, step, w.count, len(due))
			}
		}
	}
}

func first(due map[*Stream]time.Time) (time.Time, bool) {
	if len(due) == 0 {
		return time.Time{}, false
	}
	var times []time.Time
	for _, at := range due {
		times = append(times, at)
	}
	return slices.MinFunc(times, func(a, b time.Time) int { return cmp.Compare(a.UnixNano(), b.UnixNano()) }), true
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

func BenchmarkWheel_Move(b *testing.B) {
	b.ReportAllocs()
	w := newWheel(zero)
	s := hung(w, make([]time.Duration, 10_000)...)
	i := 0
	for b.Loop() {
		w.hang(&s[i%len(s)].timer, zero.Add(time.Duration(i%300)*tick))
		i++
	}
}

func TestWheel_NextLooksAtNoEntry(t *testing.T) {
	w := newWheel(zero)
	list := hung(w, 3*slots*tick, 2*slots*tick+tick, 5*slots*tick)
	last := (w.now + slots - 1) % slots
	for i, s := range list {
		if s.timer.next != &w.slots[last] && s.timer.prev != &w.slots[last] && s.timer.next.next != &w.slots[last] {
			t.Errorf("entry %d is not in the last slot of the turn", i)
		}
	}
	if got, want := w.next(zero), zero.Add((slots-1)*tick); !got.Equal(want) {
		t.Errorf("next is %v from zero, want %v", got.Sub(zero), want.Sub(zero))
	}
	w.up(nil, zero.Add((slots-1)*tick))
	if got, limit := w.next(zero), zero.Add((2*slots-2)*tick); got.After(limit) || w.count != len(list) {
		t.Errorf("hung further on: next is %v from zero, %d hang", got.Sub(zero), w.count)
	}
}

func BenchmarkWheel_Next(b *testing.B) {
	for _, after := range []time.Duration{15 * time.Second, 5 * time.Minute} {
		b.Run("after="+after.String(), func(b *testing.B) {
			b.ReportAllocs()
			w := newWheel(zero)
			due := make([]time.Duration, 100_000)
			for i := range due {
				due[i] = after + time.Duration(i%300)*tick
			}
			hung(w, due...)
			for b.Loop() {
				w.next(zero)
			}
		})
	}
}
