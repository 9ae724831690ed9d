package main

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/goceleris/celeris/middleware/sse"
)

// trial publishes a load, measures how fast a healthy reader gets it and adds, after a while, a reader that is
// much too slow for it. Both are clients of the demo's own listener, over TCP.
type trial struct {
	broker *sse.Broker
	addr   string
	plan   plan
	token  string // by which the broker's callback knows the slow reader
	began  time.Time
	ctx    context.Context // of everything that the trial does
	cancel context.CancelFunc
	wg     sync.WaitGroup

	skipped      atomic.Uint64
	before, with latencies

	mu        sync.Mutex // guards what follows
	published loadEvent  // the newest
	slow      bool       // the slow reader is there
	joined    uint64     // the newest when it came
	read      loadEvent  // the newest that it has read
	count     uint64     // how many it has read
	resyncs   uint64
	dropped   uint64
	cuts      uint64
}

// loadEvent is the payload of one event: its counters tell how far a reader has come, whatever the server thinks.
type loadEvent struct {
	Seq   uint64 `json:"seq"`
	Bytes uint64 `json:"bytes"` // of payload, up to and with this event
	At    int64  `json:"at"`    // nanoseconds of the trial when it was published
	Pad   string `json:"pad"`
}

// newTrial starts a trial that ends with life, by end, or when its time is over.
func newTrial(life context.Context, broker *sse.Broker, addr string, p plan) *trial {
	t := &trial{broker: broker, addr: addr, plan: p, token: newRun(), began: time.Now()}
	t.ctx, t.cancel = context.WithTimeout(life, p.lasts)
	t.wg.Go(t.publish)
	t.wg.Go(t.watch)
	t.wg.Go(t.dawdle)
	return t
}

// end ends the trial and returns when nothing of it is left.
func (t *trial) end() {
	t.cancel()
	t.wg.Wait()
}

func (t *trial) over() bool { return t.ctx.Err() != nil }

// age is the time of the trial.
func (t *trial) age() time.Duration { return time.Since(t.began) }

// publish publishes the load until the trial ends.
func (t *trial) publish() {
	ticks := time.NewTicker(t.plan.every)
	defer ticks.Stop()
	next := loadEvent{Pad: strings.Repeat(".", t.plan.size)}
	for {
		select {
		case <-t.ctx.Done():
			return
		case <-ticks.C:
		}
		next.Seq++
		next.Bytes += uint64(t.plan.size)
		next.At = int64(t.age())
		t.mu.Lock()
		t.published = loadEvent{Seq: next.Seq, Bytes: next.Bytes, At: next.At}
		t.mu.Unlock()
		if _, err := publish(t.ctx, t.broker, "load", next); err != nil {
			return // the broker is closed: so is the trial, in a moment
		}
	}
}

// watch measures the time from publish to delivery at a reader that keeps up.
func (t *trial) watch() {
	t.follow(func(ctx context.Context) error {
		return readStream(ctx, t.addr, "/load", nil, func(e sse.Event) error {
			var l loadEvent
			if e.Event != "load" {
				return nil
			}
			if err := json.Unmarshal([]byte(e.Data), &l); err != nil {
				return err
			}
			took := t.age() - time.Duration(l.At)
			t.mu.Lock()
			slow := t.slow
			t.mu.Unlock()
			if slow {
				t.with.add(took)
			} else {
				t.before.add(took)
			}
			return nil
		})
	}, func() {})
}

// dawdle is the slow reader.
func (t *trial) dawdle() {
	select {
	case <-t.ctx.Done():
		return
	case <-time.After(t.plan.settle):
	}
	t.mu.Lock()
	t.slow, t.joined, t.read = true, t.published.Seq, t.published
	t.mu.Unlock()
	t.follow(func(ctx context.Context) error {
		return readStream(ctx, t.addr, "/load?trial="+t.token, &t.plan, t.note)
	}, func() {
		t.mu.Lock()
		defer t.mu.Unlock()
		t.cuts++
	})
}

// note counts what the slow reader has read.
func (t *trial) note(e sse.Event) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	switch e.Event {
	case "load":
		var l loadEvent
		if err := json.Unmarshal([]byte(e.Data), &l); err != nil {
			return fmt.Errorf("demo: load: %w", err)
		}
		l.Pad = ""
		t.read = l
		t.count++
	case "resync":
		var told struct{ Dropped uint64 }
		if err := json.Unmarshal([]byte(e.Data), &told); err != nil {
			return fmt.Errorf("demo: resync: %w", err)
		}
		t.resyncs++
		t.dropped += told.Dropped
	}
	return nil
}

// follow reads streams until the trial ends: when one is cut, the next begins a second later.
func (t *trial) follow(read func(context.Context) error, cut func()) {
	for {
		_ = read(t.ctx) // why it ended makes no difference
		if t.over() {
			return
		}
		cut()
		select {
		case <-t.ctx.Done():
			return
		case <-time.After(time.Second):
		}
	}
}

// stats returns the present statistics.
func (t *trial) stats() slowStats {
	t.mu.Lock()
	defer t.mu.Unlock()
	s := slowStats{
		Phase: phaseBefore, Skipped: t.skipped.Load(),
		Read: t.count, Resyncs: t.resyncs, Dropped: t.dropped, Reconnects: t.cuts,
		Before: t.before.stats(), With: t.with.stats(),
	}
	if ends, ok := t.ctx.Deadline(); ok {
		s.EndsIn = round(max(time.Until(ends).Seconds(), 0), 1)
	}
	if t.slow {
		s.Phase = phaseSlow
		s.Published = t.published.Seq - t.joined
		s.BehindEvents = t.published.Seq - t.read.Seq
		s.BehindBytes = t.published.Bytes - t.read.Bytes
		s.BehindMS = round(float64(t.published.At-t.read.At)/float64(time.Millisecond), 0)
	}
	return s
}
