package property

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/goceleris/celeris"
	"github.com/goceleris/celeris/internal/memnet"
	"github.com/goceleris/celeris/middleware/sse"
)

const (
	keep = 24        // History and SubscriberBuffer of the script's broker
	ab   = set(0b11) // what its client follows
	a    = set(0b01)
	b    = set(0b10)
	c    = set(0b100)
	beat = 15 * time.Second
)

// brittle is a dialer on a network in memory whose first connection breaks when so many bytes of it were read.
type brittle struct {
	net       *memnet.Listener
	transport *http.Transport
	major     int
	broken    atomic.Bool // the break has not been reported
	dials     int
	conn      *memnet.Conn // the newest
	raw       atomic.Int64 // bytes read from the first connection
}

// breaking is the first connection.
type breaking struct {
	*memnet.Conn
	d    *brittle
	left int // negative: it doesn't break
}

// Read implements [net.Conn].
func (c *breaking) Read(p []byte) (int, error) {
	if c.left > 0 {
		p = p[:min(len(p), c.left)]
	}
	if c.left != 0 {
		n, err := c.Conn.Read(p)
		c.d.raw.Add(int64(n))
		if c.left < 0 {
			return n, err
		}
		if c.left -= n; c.left > 0 || err != nil {
			return n, err
		}
		c.d.broken.Store(true)
		c.Reset()
		return n, nil
	}
	c.d.broken.Store(true)
	c.Reset()
	return 0, errCut
}

func newBrittle(l *memnet.Listener, major, at int) *brittle {
	d := &brittle{net: l, major: major}
	d.transport = &http.Transport{
		Protocols: new(http.Protocols), DisableCompression: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			conn, err := l.Dial(ctx)
			if err != nil {
				return nil, err
			}
			d.conn = conn
			if d.dials++; d.dials == 1 {
				return &breaking{conn, d, at}, nil
			}
			return conn, nil
		},
	}
	d.transport.Protocols.SetHTTP1(major == 1)
	d.transport.Protocols.SetUnencryptedHTTP2(major == 2)
	return d
}

// brittleWire reports the break as a cut.
type brittleWire struct {
	d      *brittle
	body   io.ReadCloser
	cancel context.CancelFunc
}

func (d *brittle) open(ctx context.Context, _ *rand.Rand, follows set, lastID string, _ int) (wire, error) {
	ctx, cancel := context.WithCancel(ctx)
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://property/events?topics="+follows.String(), nil)
	if err != nil {
		cancel()
		return nil, err
	}
	req.Header.Set("Last-Event-ID", lastID)
	res, err := d.transport.RoundTrip(req)
	if err != nil {
		cancel()
		return nil, d.cut(err)
	}
	if res.StatusCode != http.StatusOK || res.ProtoMajor != d.major {
		err = fmt.Errorf("response is %s %s", res.Proto, res.Status)
		cancel()
		return nil, errors.Join(err, res.Body.Close())
	}
	return &brittleWire{d, res.Body, cancel}, nil
}

func (d *brittle) cut(err error) error {
	if err != nil && d.broken.CompareAndSwap(true, false) {
		return errCut
	}
	return err
}

func (w *brittleWire) Read(p []byte) (int, error) {
	n, err := w.body.Read(p)
	return n, w.d.cut(err)
}

func (w *brittleWire) close() {
	w.cancel()
	_ = w.body.Close()
}

// trial is one client of the script.
type trial struct {
	*follower
	at     int  // after how many bytes its first connection breaks; negative for never
	atOnce bool // it comes back at once, or only before it is held up

	dialer     *brittle
	raw        int // bytes of the first connection up to the last event
	violations []string
}

// script plays a stream with everything that streams have: it begins with a resync since its clients' position has
// left the history; events go to one topic, to several and to others, with several lines and without; private events and
// a comment go between; silences are broken by positions; and clients are held up until they have to be told that they
// lagged.
func script(t *testing.T, major int, trials ...*trial) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
	defer cancel()
	broker, err := sse.NewBroker(sse.BrokerConfig{History: keep, SubscriberBuffer: keep})
	if err != nil {
		t.Fatal(err)
	}
	quiet := slog.New(slog.DiscardHandler)
	app := celeris.New(celeris.Config{Logger: quiet})
	app.GET("/events", sse.New(sse.Config{Broker: broker, Topics: topicsOf, HeartbeatInterval: beat, Logger: quiet}))
	l := memnet.Listen(256)
	var running sync.WaitGroup
	running.Go(func() { _ = app.Serve(context.WithoutCancel(ctx), l) })

	p := &plan{}
	pr := press{broker, p, newPace(ctx, 1<<30)}
	publish := func(to set, kind, text string) string {
		p.add(0, to, kind, text)
		id, err := pr.publish(ctx, len(p.events)-1)
		if err != nil {
			t.Fatal(err)
		}
		return id
	}
	say := func(to set, kind, text string) string {
		defer synctest.Wait()
		return publish(to, kind, text)
	}
	send := func(name string) {
		for client := range broker.Clients("a") {
			// It fails when the client has just been cut; what counts is what arrives.
			_ = client.Send(sse.Event{Event: "private", Data: name + fmt.Sprint(" ", len(p.events))})
			_ = client.SendComment("not an event")
		}
		synctest.Wait()
	}
	pass := func(d time.Duration) {
		time.Sleep(d)
		synctest.Wait()
	}

	start := publish(a, "", "")
	for range keep + 1 {
		publish(a, "", "")
	}
	back := make(chan struct{})
	for _, o := range trials {
		o.dialer = newBrittle(l, major, o.at)
		o.follower = &follower{
			name: fmt.Sprintf("client of HTTP/%d cut after %d bytes, back at once: %t", major, o.at, o.atOnce), topics: ab,
			plan: p, pace: pr.pace, dialer: o.dialer, slow: o.at%4 < 2, start: start, lastID: start, held: true,
			rng: rand.New(rand.NewPCG(1, 1)),
		}
		o.away = func() {
			if !o.atOnce {
				<-back
			}
		}
		running.Go(func() { o.run(ctx) })
	}
	synctest.Wait()

	say(a, "", " one")
	say(ab, "", "\ntwo\nlines\n")
	send("first")
	say(c, "", " for others")
	pass(beat + time.Second)
	say(b, "tick", "")
	say(b, "", " before")
	send("second")
	say(a|c, "", " after")
	say(c, "", " for others")
	pass(beat + time.Second)
	close(back)
	synctest.Wait()

	for _, o := range trials {
		o.dialer.conn.Hold()
	}
	for range 6 { // enough to block the connection
		say(a, "", " a burst of long events is what it takes")
	}
	pass(time.Second)
	for range keep + 2 {
		publish(a, "", " a burst of long events is what it takes")
	}
	pass(time.Second)
	for _, o := range trials {
		o.dialer.conn.Release()
	}
	synctest.Wait()
	say(b, "", "\n\n")
	epoch, end, _ := position(say(a, "", " the end"))
	for _, o := range trials {
		o.raw = int(o.dialer.raw.Load())
	}
	pr.pace.finish(end) // which the clients see with the next heartbeat
	pass(beat + time.Second)
	for _, o := range trials {
		o.dialer.transport.CloseIdleConnections()
	}
	if err := broker.Close(ctx); err != nil {
		t.Errorf("close the broker: %v", err)
	}
	if err := app.Shutdown(ctx); err != nil {
		t.Errorf("shut the server down: %v", err)
	}
	running.Wait()

	tr := newTruth(p, epoch, keep)
	for _, o := range trials {
		var sum tally
		o.violations = slices.Concat(tr.wrong, tr.judge(o.follower, &sum), o.strayed())
	}
}

// strayed looks at the private events: each comes once at most, behind all that was published before it and before
// all later.
func (o *trial) strayed() (wrong []string) {
	var seen []string
	for _, v := range o.visits {
		n, events := 0, 0
		for _, i := range v.items {
			switch {
			case i.event >= 0:
				events = i.event + 1
			case i.event == aPrivate:
				var name string
				var before int // events published when it was sent
				if _, err := fmt.Sscan(v.private[n], &name, &before); err != nil {
					wrong = append(wrong, fmt.Sprintf("private event %q: %v", v.private[n], err))
				}
				if slices.Contains(seen, name) {
					wrong = append(wrong, fmt.Sprintf("private event %q was repeated", name))
				}
				if seen = append(seen, name); events > before {
					wrong = append(wrong, fmt.Sprintf("private event %q after event %d, sent before it", name, events-1))
				}
				for e := events; events > 0 && e < before; e++ {
					if o.plan.events[e].topics&ab != 0 {
						wrong = append(wrong, fmt.Sprintf("private event %q before event %d, sent after it", name, e))
					}
				}
				n++
			}
		}
	}
	return wrong
}

func TestStream_ContinuesAfterEveryByte(t *testing.T) {
	for _, major := range []int{1, 2} {
		t.Run(fmt.Sprintf("HTTP/%d", major), func(t *testing.T) {
			whole := &trial{at: -1}
			synctest.Test(t, func(t *testing.T) { script(t, major, whole) })
			for _, v := range whole.violations {
				t.Error(v)
			}
			v := whole.visits[0]
			var got []string
			for _, r := range v.resyncs {
				got = append(got, r.Reason)
			}
			want := []string{"expired", "lagged"}
			if len(whole.visits) != 1 || !slices.Equal(got, want) || len(v.private) != 2 {
				t.Fatalf("%d streams, resyncs %q, private events %q; want one stream, %q and two private ones",
					len(whole.visits), got, v.private, want)
			}
			t.Logf("%d bytes, %d items", whole.raw, len(v.items))
			var trials []*trial
			for at := range whole.raw {
				if testing.Short() && at%8 > 0 {
					continue
				}
				trials = append(trials, &trial{at: at, atOnce: at%2 == 0})
			}
			for some := range slices.Chunk(trials, 100) {
				synctest.Test(t, func(t *testing.T) { script(t, major, some...) })
				for _, o := range some {
					for _, v := range o.violations {
						t.Error(v)
					}
					if len(o.visits) < 2 && o.at > 0 {
						t.Errorf("%s: %d streams, want a cut", o.name, len(o.visits))
					}
				}
			}
		})
	}
}
