package fanout

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"testing"
	"time"
)

// sleeper is a driver that does nothing.
type sleeper struct{ nobody }

func (sleeper) Wake()      {}
func (sleeper) Interrupt() {}

func benchCore(b *testing.B, cfg Config) *Core {
	b.Helper()
	cfg.Framing, cfg.Logger = textFraming{}, quiet
	c := NewCore(cfg)
	b.Cleanup(func() {
		if err := c.Stop(context.Background()); err != nil {
			b.Error(err)
		}
	})
	return c
}

// BenchmarkPublish is what a publisher pays, and its pump beside it: members that are only woken. They never
// pass, so publishers are told not to wait for that.
func BenchmarkPublish(b *testing.B) {
	body, ctx := eventBody(1, 50), canceled(b)
	for _, members := range []int{0, 10, 1000, 10_000} {
		b.Run(fmt.Sprintf("members=%d", members), func(b *testing.B) {
			c := benchCore(b, Config{})
			for range members {
				if err := c.Open(NewMember(sleeper{}, sleeper{}, 1), "", "a"); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportAllocs()
			for b.Loop() {
				if _, err := c.Publish(ctx, body, "a"); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
	for _, topics := range []int{1, 10_000} {
		b.Run(fmt.Sprintf("topics=%d", topics), func(b *testing.B) {
			c := benchCore(b, Config{})
			names := make([]string, topics)
			for i := range names {
				names[i] = fmt.Sprint(i)
			}
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				if _, err := c.Publish(ctx, body, names[i%topics]); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkNext is a pass of a member of many topics with news in one of them; the publish is part of it.
func BenchmarkNext(b *testing.B) {
	body, ctx := eventBody(1, 50), canceled(b)
	for _, topics := range []int{1, 2, 100} {
		b.Run(fmt.Sprintf("topics=%d", topics), func(b *testing.B) {
			c := benchCore(b, Config{})
			names := make([]string, topics)
			for i := range names {
				names[i] = fmt.Sprint(i)
			}
			m := NewMember(sleeper{}, sleeper{}, 1)
			if err := c.Open(m, "", names...); err != nil {
				b.Fatal(err)
			}
			for i := range names {
				if _, err := c.Publish(ctx, body, names[i]); err != nil {
					b.Fatal(err)
				}
			}
			var bufs [][]byte
			b.ReportAllocs()
			for b.Loop() {
				if _, err := c.Publish(ctx, body, names[0]); err != nil {
					b.Fatal(err)
				}
				bufs, _ = m.Next(bufs[:0], 1<<20)
				if len(bufs) == 0 {
					b.Fatal("nothing is due")
				}
			}
		})
	}
}

// doorbell is a driver that tells of its wakes.
type doorbell struct {
	sleeper
	rung chan struct{}
}

func (d doorbell) Wake() {
	select {
	case d.rung <- struct{}{}:
	default:
	}
}

// BenchmarkWakeBesideLagging is the time from a publish to the wake of a member that keeps up, while others are blocked
// 20 000 frames behind and want the latest only, or everything. With 1024 keys those are at their limit: each publish
// may be too much.
func BenchmarkWakeBesideLagging(b *testing.B) {
	for _, keys := range []int{200, DefaultSubscriberBuffer} {
		for _, blocked := range []int{0, 1, 10, 100} {
			b.Run(fmt.Sprintf("latest/keys=%d/blocked=%d", keys, blocked), func(b *testing.B) {
				wakeBesideLagging(b, true, keys, blocked)
			})
		}
	}
	b.Run("all/blocked=1000", func(b *testing.B) { wakeBesideLagging(b, false, 200, 1000) })
}

func wakeBesideLagging(b *testing.B, latest bool, keys, blocked int) {
	const lag = 20_000
	c := benchCore(b, Config{History: 2 * lag})
	bell := doorbell{rung: make(chan struct{}, 1)}
	if err := c.Open(NewMember(bell, bell, 1), "", "a"); err != nil {
		b.Fatal(err)
	}
	body, ctx, published := eventBody(1, 50), canceled(b), 0
	publish := func() {
		if _, err := c.PublishKeyed(ctx, strconv.Itoa(published%keys), body, "a"); err != nil {
			b.Fatal(err)
		}
		published++
	}
	behind := make([]*Member, blocked)
	fall := func() {
		for i, m := range behind {
			if m != nil {
				m.End(nil)
			}
			behind[i] = NewMember(sleeper{}, sleeper{}, 1)
			if err := c.Open(behind[i], "", "a"); err != nil {
				b.Fatal(err)
			}
		}
		for published = 0; published < lag; {
			publish()
		}
		for _, m := range behind {
			m.mu.Lock()
			m.latest = latest
			m.mu.Unlock()
			m.Blocked(1)
		}
	}
	fall()
	var took []time.Duration
	for b.Loop() {
		if published > lag+lag/4 {
			b.StopTimer()
			fall()
			b.StartTimer()
		}
		time.Sleep(100 * time.Microsecond) // the pump may come to rest
		select {
		case <-bell.rung:
		default:
		}
		began := time.Now()
		publish()
		<-bell.rung
		took = append(took, time.Since(began))
	}
	slices.Sort(took)
	for _, q := range []int{50, 90, 99} {
		b.ReportMetric(float64(took[len(took)*q/100].Nanoseconds()), fmt.Sprintf("p%d-ns", q))
	}
	for _, m := range behind {
		m.mu.Lock()
		if m.latest != latest || m.loss.reason != "" {
			b.Error("a member was dropped")
		}
		m.mu.Unlock()
	}
}
