package main

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"log/slog"
	"net"
	"sync"
	"time"

	"github.com/goceleris/celeris"
)

const (
	// sampleInterval is the time between two samples.
	sampleInterval = 200 * time.Millisecond
	// statsEvery is the number of samples for which there is one event of statistics.
	statsEvery = 5
	// backfill is how far back the stream of a new page begins: the span of its charts and a little more.
	backfill = 65 * time.Second
)

type vitalsEvent struct {
	header
	vitals
}

type statsEvent struct {
	header
	stats
}

// demo is one run of the demonstration. One goroutine publishes the samples; handlers run at the same time.
type demo struct {
	server  *celeris.Server
	feed    *feed
	logger  *slog.Logger
	sampler sampler
	recent  positions
	slow    *slowSwitch
}

// newDemo registers the routes of the demo at app. What they start ends with ctx; at is where app listens.
func newDemo(ctx context.Context, app *celeris.Server, at net.Addr, p plan, logger *slog.Logger) (*demo, error) {
	slow := &slowSwitch{life: ctx, addr: at.String(), plan: p}
	broker, err := newBroker(app, slow.judge)
	if err != nil {
		return nil, err
	}
	slow.broker = broker
	page, err := newPage()
	if err != nil {
		return nil, err
	}
	f := &feed{broker: broker, run: newRun(), started: time.Now()}
	d := &demo{server: app, feed: f, logger: logger, slow: slow}
	app.GET("/", func(c *celeris.Context) error { return page.serve(c, d.recent.oldest()) })
	app.GET("/worker.js", page.serveWorker)
	app.GET("/stats", d.serveStats)
	newWall(f).register(app)
	slow.register(app)
	return d, nil
}

// newRun returns a short name for the counters of this process.
func newRun() string {
	var b [4]byte
	rand.Read(b[:]) // never fails
	return hex.EncodeToString(b[:])
}

// publish publishes a sample at every tick, and the statistics after every few, until ctx ends.
func (d *demo) publish(ctx context.Context, ticks <-chan time.Time) {
	failing := false
	for tick := 0; ; tick++ {
		select {
		case <-ctx.Done():
			return
		case <-ticks:
		}
		sample := d.sampler.next(ctx)
		err := d.send(ctx, "vitals", func(h header) any { return vitalsEvent{h, sample} })
		if err == nil && tick%statsEvery == 0 {
			now := d.stats(ctx)
			err = d.send(ctx, "stats", func(h header) any { return statsEvent{h, now} })
		}
		if err != nil && !failing && ctx.Err() == nil {
			d.logger.LogAttrs(ctx, slog.LevelError, "demo: can't publish", slog.Any("error", err))
		}
		failing = err != nil
	}
}

// send publishes one payload and remembers where it lies in the log.
func (d *demo) send(ctx context.Context, topic string, payload func(header) any) error {
	event, err := d.feed.send(ctx, topic, payload)
	if err != nil {
		return err
	}
	d.recent.add(event.ID(), time.Now())
	return nil
}

// close ends what the routes have started and waits for it, then closes the broker.
func (d *demo) close(ctx context.Context) error {
	d.slow.close()
	return d.feed.broker.Close(ctx)
}

// positions remembers where the samples of the last minute lie, for streams that begin with them. The zero
// value is ready; any goroutine may use it.
type positions struct {
	mu   sync.Mutex
	list []position // oldest first, none older than backfill
}

type position struct {
	id string
	at time.Time
}

func (p *positions) add(id string, at time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	old := 0
	for old < len(p.list) && at.Sub(p.list[old].at) > backfill {
		old++
	}
	p.list = append(p.list[old:], position{id, at})
}

// oldest returns the id behind which the last minute's events lie; empty when there are none.
func (p *positions) oldest() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.list) == 0 {
		return ""
	}
	return p.list[0].id
}
