//go:build linux

package sockets

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/goceleris/celeris/internal/fanout"
	"github.com/goceleris/celeris/middleware/sse"
)

const (
	publishers = 4
	batch      = 16 // events of one publisher between two looks at the readers
	clients    = 50
	slowOnes   = 10
	history    = 2048
)

// Fifty clients of every kind at once: cut at random bytes, joining, leaving, sent to alone, and slow ones under each of
// the policies.
func TestStreams_DeliveredAndDroppedAndSupersededIsDue(t *testing.T) {
	over(t, all, func(t *testing.T, w way) {
		seed := rand.Uint64()
		c := gather(t, w, seed)
		ctx, cancel := context.WithTimeoutCause(t.Context(), 3*patience, errors.New("the run is late"))
		defer cancel()
		context.AfterFunc(ctx, func() { c.fail(context.Cause(ctx)) })
		var reading, publishing sync.WaitGroup
		for _, f := range c.followers {
			reading.Go(func() { f.follow(ctx) })
		}
		c.run(ctx, &publishing)
		c.mu.Lock()
		failed := c.failed
		c.mu.Unlock()
		if failed != nil {
			cancel()
		}
		reading.Wait()
		c.mu.Lock()
		defer c.mu.Unlock()
		if c.failed != nil {
			t.Fatal("seed", seed, c.failed)
		}
		c.seal()
		c.verdict(t)
		if t.Failed() {
			t.Log("seed", seed)
		}
	})
}

// gather makes the clients.
func gather(t *testing.T, w way, seed uint64) *crowd {
	t.Helper()
	c := &crowd{records: &records{history: history}}
	c.changed = sync.NewCond(&c.mu)
	for i := range clients {
		f := &follower{crowd: c, i: i, rng: rand.New(rand.NewPCG(seed, uint64(i)))}
		for f.topics == 0 {
			f.topics = set(f.rng.UintN(uint(everyone) + 1))
		}
		switch {
		case i < slowOnes:
			f.slow, f.rcvbuf, f.policy = true, 4<<10, sse.BrokerPolicy(i%5)
		default:
			f.cuts = i%2 == 0
		}
		c.followers = append(c.followers, f)
	}
	c.site = w.serve(t, options{
		events: sse.BrokerConfig{
			SubscriberBuffer: 4 * publishers * batch, History: history, HistoryBytes: 1 << 30, MaxLagBytes: 1 << 20,
			OnSlowSubscriber: c.ask,
		},
		stream: sse.Config{
			HeartbeatInterval: 50 * time.Millisecond, Farewell: &sse.Event{Event: "farewell", Data: "come back"},
			OnConnect: func(client *sse.Client) error {
				c.find(client).handle.Store(client)
				return nil
			},
		},
	})
	return c
}

// run publishes batch by batch: one begins when all who read have come to where the one before began. It goes
// on until every slow one has been asked about, and has seen what came of it.
func (c *crowd) run(ctx context.Context, all *sync.WaitGroup) {
	for n := 0; ; n++ {
		for who := range publishers {
			all.Go(func() {
				rng := rand.New(rand.NewPCG(uint64(who), uint64(n)))
				for range batch {
					to, key := set(1)<<rng.IntN(topics), ""
					if rng.IntN(4) == 0 {
						to |= set(1) << rng.IntN(topics)
					}
					if rng.IntN(16) > 0 {
						key = strconv.Itoa(rng.IntN(4))
					}
					if err := c.publish(ctx, to, key); err != nil {
						c.fail(fmt.Errorf("publish: %w", err))
						return
					}
				}
			})
		}
		all.Wait()
		if err := c.publish(ctx, everyone, ""); err != nil {
			c.fail(fmt.Errorf("publish: %w", err))
		}
		last := c.events[len(c.events)-1].pos
		c.tell(func() { c.batches++ })
		c.await(func() bool {
			for _, f := range c.followers {
				if f.at.Load() < uint64(c.mark) && !f.still.Load() {
					return false
				}
			}
			return true
		})
		c.tell(func() { c.mark = last })
		enough := n >= 40
		for _, f := range c.followers {
			enough = enough && (!f.slow || f.asked.Load() > 0 && f.told.Load())
		}
		c.mu.Lock()
		failed := c.failed
		c.mu.Unlock()
		if enough || failed != nil {
			c.tell(func() { c.final = last })
			return
		}
	}
}

// verdict judges all clients.
func (c *crowd) verdict(t *testing.T) {
	t.Helper()
	var sum fate
	var byPolicy [5]fate
	for i, e := range c.order {
		if i > 0 && e.pos == c.order[i-1].pos || e.pos == 0 {
			t.Fatalf("event %d has position %d, which is not its own", e.n, e.pos)
		}
	}
	c.epoch, _, _ = fanout.ParseID(c.followers[0].lastID)
	for _, f := range c.followers {
		j := &judge{records: c.records, name: f.String(), policy: f.policy, slow: f.slow}
		for _, v := range f.visits {
			j.visit(v)
		}
		for _, s := range j.wrong {
			t.Error(s)
		}
		if j.delivered+j.dropped+j.superseded != j.due {
			t.Errorf("%s: %d delivered + %d dropped + %d superseded != %d due", j.name, j.delivered, j.dropped, j.superseded, j.due)
		}
		if !f.cuts && len(j.wrong) == 0 { // its topics never change: count once more, without the judge
			_, from, _ := fanout.ParseID(f.visits[0].blocks[0].id)
			due := 0
			for _, e := range c.order[c.after(from):] {
				if e.topics&f.topics != 0 {
					due++
				}
			}
			if due != j.due {
				t.Errorf("%s: %d events judged, %d were due", j.name, j.due, due)
			}
		}
		sum.add(j.fate)
		if f.slow {
			byPolicy[f.policy].add(j.fate)
		}
	}
	t.Logf("%d events: %+v", len(c.order), sum)
	for p, f := range byPolicy {
		t.Logf("policy %d: %+v", p, f)
		showed := []bool{f.resyncs > 0 && f.dropped > 0, f.removed > 0, f.farewells > 0, f.delivered > 0, f.superseded > 0}
		if !showed[p] && !t.Failed() {
			t.Errorf("policy %d has not been seen at work: %+v", p, f)
		}
	}
	if sum.streams < clients+clients/2 || sum.privates == 0 {
		t.Errorf("this shows too little: %+v", sum)
	}
}
