package main

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"log/slog"
	"sync"
	"time"

	"github.com/goceleris/celeris"
	"github.com/goceleris/celeris/middleware/sse"
)

const (
	// sampleInterval is the time between two samples.
	sampleInterval = 200 * time.Millisecond
	// statsEvery is the number of samples for which there is one event of statistics.
	statsEvery = 5
	// backfill is how far back the stream of a new page begins: the span of its charts and a little more.
	backfill = 65 * time.Second
)

// header begins every payload. N counts the events of one run without a hole, whatever their topic: a
// page judges by it what it missed and what came twice, so its verdict owes nothing to event ids.
type header struct {
	N   uint64 `json:"n"`
	Run string `json:"run"`
	T   int64  `json:"t"` // Unix time in milliseconds, from a clock that never steps back
}

type vitalsEvent struct {
	header
	vitals
}

type statsEvent struct {
	header
	stats
}

// demo is one run of the demonstration. One goroutine publishes; handlers run at the same time.
type demo struct {
	broker  *sse.Broker
	logger  *slog.Logger
	run     string // tells the counters of this process from those of another
	started time.Time
	sampler sampler
	recent  positions
}

// newDemo registers the routes of the demo at app.
func newDemo(app *celeris.Server, logger *slog.Logger) (*demo, error) {
	broker, err := newBroker(app)
	if err != nil {
		return nil, err
	}
	page, err := newPage()
	if err != nil {
		return nil, err
	}
	d := &demo{broker: broker, logger: logger, run: newRun(), started: time.Now()}
	app.GET("/", func(c *celeris.Context) error { return page.serve(c, d.recent.oldest()) })
	app.GET("/stats", d.serveStats)
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
	var n uint64
	failing := false
	for tick := 0; ; tick++ {
		select {
		case <-ctx.Done():
			return
		case <-ticks:
		}
		err := d.send(ctx, "vitals", vitalsEvent{d.header(n + 1), d.sampler.next(ctx)})
		if err == nil {
			n++
			if tick%statsEvery == 0 {
				if err = d.send(ctx, "stats", statsEvent{d.header(n + 1), d.stats(ctx)}); err == nil {
					n++
				}
			}
		}
		// An event that was not published takes no number: it would look like one that got lost.
		if err != nil && !failing && ctx.Err() == nil {
			d.logger.LogAttrs(ctx, slog.LevelError, "demo: can't publish", slog.Any("error", err))
		}
		failing = err != nil
	}
}

func (d *demo) header(n uint64) header {
	return header{N: n, Run: d.run, T: d.started.Add(time.Since(d.started)).UnixMilli()}
}

// send publishes v under the name of its topic and remembers where the event lies in the log.
func (d *demo) send(ctx context.Context, topic string, v any) error {
	event, err := publish(ctx, d.broker, topic, v)
	if err != nil {
		return err
	}
	d.recent.add(event.ID(), time.Now())
	return nil
}

// positions remembers where the events of the last minute lie, for streams that begin with them. The
// zero value is ready; any goroutine may use it.
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
