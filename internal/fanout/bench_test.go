package fanout

import (
	"context"
	"fmt"
	"testing"
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
