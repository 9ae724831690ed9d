package property

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/goceleris/celeris"
	"github.com/goceleris/celeris/engine"
	"github.com/goceleris/celeris/middleware/sse"
)

// scale is the size of a run.
type scale struct {
	events, clients int
	history, batch  int
	reach           float64 // mean of the bytes between two cuts
	far             float64 // share of the cuts after which a client stays away for long
	limit           time.Duration
	mutate          mutation
	engine          engine.Kind
}

// outcome is what the oracle found.
type outcome struct {
	tally
	violations []string
	published  int64
	throttled  int64
	took       time.Duration
}

// play publishes a plan to clients on real sockets and judges what they saw.
func play(t testing.TB, seed uint64, s scale) outcome {
	t.Helper()
	began := time.Now()
	ctx, cancel := context.WithTimeoutCause(t.Context(), s.limit, fmt.Errorf("the run took longer than %v", s.limit))
	defer cancel()
	broker, err := sse.NewBroker(sse.BrokerConfig{
		History: s.history, SubscriberBuffer: s.history,
		HistoryBytes: 1 << 30, HistoryAge: time.Hour, MaxLagBytes: 1 << 30,
	})
	if err != nil {
		t.Fatal(err)
	}
	addr, stop := listen(t, broker, s.engine)
	rng := rand.New(rand.NewPCG(seed, 0))
	p := newPlan(rng, s.events)
	pc := newPace(ctx, s.batch)

	followers := make([]*follower, s.clients)
	var shareds []*shared
	var all sync.WaitGroup
	for i := range followers {
		f := &follower{
			name: fmt.Sprintf("client %d on HTTP/1.1", i), topics: someTopics(rng), plan: p, pace: pc, dialer: plain{addr},
			habits: habits{s.history, s.reach, s.far, s.mutate},
			rng:    rand.New(rand.NewPCG(seed, uint64(i+1))), seeded: i/2%2 == 0, slow: i == 3,
		}
		if i%2 == 1 {
			if i%10 == 1 {
				shareds = append(shareds, newShared(addr))
			}
			f.dialer, f.name = shareds[len(shareds)-1], fmt.Sprintf("client %d on h2c", i)
		}
		f.away = f.stayAway
		followers[i] = f
		all.Go(func() { f.run(ctx) })
	}
	epoch, err := press{broker, p, pc}.run(ctx)
	if err != nil {
		t.Errorf("publish: %v", err)
		cancel()
	}
	all.Wait()
	for _, d := range shareds {
		d.transport.CloseIdleConnections()
	}
	stats := broker.Stats()
	stop()

	o := outcome{published: stats.Published, throttled: stats.ThrottledEvents, took: time.Since(began)}
	if err != nil {
		return o
	}
	tr := newTruth(p, epoch, s.history)
	o.violations = tr.wrong
	for _, f := range followers {
		o.violations = append(o.violations, tr.judge(f, &o.tally)...)
	}
	return o
}

// someTopics returns one topic more often than several.
func someTopics(rng *rand.Rand) set {
	s := set(1) << rng.IntN(topics)
	for rng.IntN(3) == 0 {
		s |= 1 << rng.IntN(topics)
	}
	return s
}

// topicsOf is what a request asks for.
func topicsOf(c *celeris.Context) ([]string, error) { return strings.Split(c.Query("topics"), ""), nil }

// listen serves the broker's topics on the loopback device. stop fails the test unless all of it ends by itself.
func listen(t testing.TB, b *sse.Broker, kind engine.Kind) (addr string, stop func()) {
	t.Helper()
	quiet := slog.New(slog.DiscardHandler)
	app := celeris.New(celeris.Config{Logger: quiet, Engine: kind})
	app.GET("/events", sse.New(sse.Config{
		Broker: b, Topics: topicsOf, HeartbeatInterval: 20 * time.Millisecond, Logger: quiet,
	}))
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var serving sync.WaitGroup
	serving.Go(func() { _ = app.Serve(context.WithoutCancel(t.Context()), l) })
	return l.Addr().String(), func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), 10*time.Second)
		defer cancel()
		if err := b.Close(ctx); err != nil {
			t.Errorf("close the broker: %v", err)
		}
		if err := app.Shutdown(ctx); err != nil {
			t.Errorf("shut the server down: %v", err)
		}
		serving.Wait()
	}
}

// press publishes events of a plan.
type press struct {
	broker *sse.Broker
	plan   *plan
	pace   *pace
}

// publish publishes one event and records its position.
func (p press) publish(ctx context.Context, i int) (id string, err error) {
	e := &p.plan.events[i]
	if err := p.pace.begin(e.topics); err != nil {
		return "", err
	}
	out, err := p.broker.Publish(ctx, sse.Event{Event: e.kind, Data: e.data}, e.topics.names()...)
	if err != nil {
		return "", err
	}
	_, at, ok := position(out.ID())
	if !ok {
		return "", fmt.Errorf("event %d got id %q", i, out.ID())
	}
	e.position = at
	p.pace.published(e.topics, at)
	return out.ID(), nil
}

// run publishes everything, each publisher its part, and returns the epoch.
func (p press) run(ctx context.Context) (epoch string, err error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var epochs [publishers + 1]string
	turns := func(who int) {
		for _, i := range p.plan.turns[who] {
			id, err := p.publish(ctx, i)
			if err != nil {
				cancel(err)
				return
			}
			epoch, at, _ := position(id)
			if epochs[who] != "" && epochs[who] != epoch {
				cancel(fmt.Errorf("event %d got id %q after epoch %s", i, id, epochs[who]))
				return
			}
			if epochs[who] = epoch; who == last {
				p.pace.finish(at)
			}
		}
	}
	var all sync.WaitGroup
	for who := range publishers {
		all.Go(func() { turns(who) })
	}
	all.Wait()
	turns(last)
	if ctx.Err() != nil {
		return "", context.Cause(ctx)
	}
	for _, e := range epochs {
		if e != "" && e != epochs[last] {
			return "", fmt.Errorf("publishers got epochs %q", epochs)
		}
	}
	return epochs[last], nil
}
