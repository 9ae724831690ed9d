package shard

import (
	"maps"
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

const zero instant = 0

// hung returns nodes that hang in w, due after these times.
func hung(w *wheel, after ...time.Duration) []*Stream {
	list := make([]*Stream, len(after))
	for i, d := range after {
		list[i] = &Stream{}
		list[i].timer.stream = list[i]
		w.hang(&list[i].timer, zero.add(d))
	}
	return list
}

func TestWheel_ComesUpInTimeAndNotBefore(t *testing.T) {
	const lap = slots * tick
	for _, after := range []time.Duration{
		1, tick - 1, tick, tick + 1, time.Second, lap - tick, lap, lap + tick, 3*lap + 7*tick, time.Hour, 1000 * time.Hour,
	} {
		w := newWheel()
		s := hung(w, after)[0]
		at := zero.add(after)
		if got := w.up(nil, at.add(-1)); len(got) > 0 {
			t.Errorf("%v: up before its time", after)
		}
		if got := w.up(nil, at.add(tick)); len(got) != 1 || got[0] != s {
			t.Errorf("%v: %d came up a tick later", after, len(got))
		}
		if w.count != 0 || len(w.up(nil, at.add(5000*time.Hour))) > 0 {
			t.Errorf("%v: came up twice", after)
		}
	}
}

func TestWheel_PastIsTheNextTick(t *testing.T) {
	w := newWheel()
	w.up(nil, zero.add(time.Hour))
	hung(w, time.Second)
	if got := w.next(zero.add(time.Hour)); got.sub(zero) > time.Hour+2*tick {
		t.Errorf("next is %v from zero", got.sub(zero))
	}
	if got := w.up(nil, zero.add(time.Hour+tick)); len(got) != 1 {
		t.Errorf("%d came up", len(got))
	}
}

func TestWheel_AllComeUpAfterALongSleep(t *testing.T) {
	w := newWheel()
	var after []time.Duration
	for i := range 3 * slots {
		after = append(after, time.Duration(i)*tick/2)
	}
	hung(w, after...)
	late := hung(w, 50*time.Hour)[0]
	if got := w.up(nil, zero.add(49*time.Hour)); len(got) != len(after) {
		t.Errorf("%d of %d came up", len(got), len(after))
	}
	if got := w.up(nil, zero.add(51*time.Hour)); len(got) != 1 || got[0] != late {
		t.Errorf("%d came up later", len(got))
	}
}

func TestWheel_EmptyHasNothingToWaitFor(t *testing.T) {
	w := newWheel()
	if got := w.next(zero); got.sub(zero) < time.Minute {
		t.Errorf("wants to be looked at after %v", got.sub(zero))
	}
	s := hung(w, time.Second)[0]
	w.drop(&s.timer)
	w.drop(&s.timer) // harmless
	if w.count != 0 || len(w.up(nil, zero.add(time.Minute))) > 0 {
		t.Error("came up though it was taken down")
	}
}

// TestWheel_IsASortedList plays a wheel against a plain list: streams are hung, moved and taken down, and the time goes
// on from one next to another.
func TestWheel_IsASortedList(t *testing.T) {
	for seed := range uint64(200) {
		r := rand.New(rand.NewPCG(seed, 3))
		w, now := newWheel(), zero
		streams := hung(w, make([]time.Duration, 50)...)
		due := map[*Stream]instant{}
		for _, s := range streams {
			due[s] = zero
		}
		for step := range 300 {
			s := streams[r.IntN(len(streams))]
			switch x := r.IntN(10); {
			case x < 5:
				at := now.add(time.Duration(r.Int64N(int64(time.Duration(1) << (20 + r.IntN(25))))))
				w.hang(&s.timer, at)
				due[s] = at
			case x < 7:
				w.drop(&s.timer)
				delete(due, s)
			case x < 8:
				now = now.add(time.Duration(r.Int64N(int64(3 * slots * tick))))
			default:
				next := w.next(now)
				if earliest, ok := first(due); ok && next > max(earliest, now).add(tick) {
					t.Fatalf("seed %d, step %d: next is %v, something is due %v", seed, step, next, earliest)
				}
				now = max(now, next)
			}
			up := w.up(nil, now)
			for _, s := range up {
				at, ok := due[s]
				if !ok || at > now {
					t.Fatalf("seed %d, step %d: up at %v, due %v, hung %v", seed, step, now, at, ok)
				}
				delete(due, s)
			}
			for s, at := range due {
				if at.add(2*tick) < now {
					t.Fatalf("seed %d, step %d: not up at %v, due %v, hangs %v", seed, step, now, at, s.timer.next != nil)
				}
			}
			if w.count != len(due) {
				t.Fatalf("seed %d, step %d: counts %d, want %d", seed, step, w.count, len(due))
			}
		}
	}
}

func first(due map[*Stream]instant) (instant, bool) {
	if len(due) == 0 {
		return 0, false
	}
	return slices.Min(slices.Collect(maps.Values(due))), true
}

func BenchmarkWheel_Move(b *testing.B) {
	b.ReportAllocs()
	w := newWheel()
	s := hung(w, make([]time.Duration, 10_000)...)
	i := 0
	for b.Loop() {
		w.hang(&s[i%len(s)].timer, zero.add(time.Duration(i%300)*tick))
		i++
	}
}

func TestWheel_NextLooksAtNoEntry(t *testing.T) {
	w := newWheel()
	list := hung(w, 3*slots*tick, 2*slots*tick+tick, 5*slots*tick)
	last := (w.now + slots - 1) % slots
	for i, s := range list {
		if s.timer.next != &w.slots[last] && s.timer.prev != &w.slots[last] && s.timer.next.next != &w.slots[last] {
			t.Errorf("entry %d is not in the last slot of the turn", i)
		}
	}
	if got, want := w.next(zero), zero.add((slots-1)*tick); got != want {
		t.Errorf("next is %v from zero, want %v", got.sub(zero), want.sub(zero))
	}
	w.up(nil, zero.add((slots-1)*tick))
	if got, limit := w.next(zero), zero.add((2*slots-2)*tick); got > limit || w.count != len(list) {
		t.Errorf("hung further on: next is %v from zero, %d hang", got.sub(zero), w.count)
	}
}

func BenchmarkWheel_Next(b *testing.B) {
	for _, after := range []time.Duration{15 * time.Second, 5 * time.Minute} {
		b.Run("after="+after.String(), func(b *testing.B) {
			b.ReportAllocs()
			w := newWheel()
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
