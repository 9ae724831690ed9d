package sse_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/goceleris/celeris"
	"github.com/goceleris/celeris/engine"
	"github.com/goceleris/celeris/engine/sim"
	"github.com/goceleris/celeris/internal/memnet"
	"github.com/goceleris/celeris/middleware/sse"
)

// viewer is one of very many clients: what it has read, and when it ended.
type viewer struct {
	text  bytes.Buffer
	ended time.Time
	err   error
}

func (v *viewer) watch(conn io.Reader) {
	_, v.err = io.Copy(&v.text, conn)
	v.ended = time.Now()
}

func TestShutdown_SpreadsAFarewellToThousandsOfParkedStreams(t *testing.T) {
	n := 10_000
	if raceEnabled {
		n = 2_000
	}
	const retry, jitter, drain = 3 * time.Second, 5 * time.Second, 10 * time.Second
	synctest.Test(t, func(t *testing.T) {
		b := newBroker(t, sse.BrokerConfig{})
		var ends atomic.Int64
		h, host := watched(sse.Config{
			Broker: b, RetryInterval: retry, RetryJitter: jitter, Farewell: &sse.Event{Event: "bye"},
			OnDisconnect: func(_ *sse.Client, reason error) {
				if errors.Is(reason, engine.ErrShutdown) {
					ends.Add(1)
				}
			},
		})
		l, e := memnet.Listen(0), sim.New()
		defer e.Close()
		app := celeris.New(celeris.Config{DrainTimeout: drain, MaxStreams: n, Logger: quiet})
		app.GET("/", h)
		served := make(chan error, 1)
		go func() { served <- app.Serve(context.Background(), parking{l, e}) }()

		viewers := make([]viewer, n)
		var wg sync.WaitGroup
		for i := range viewers {
			conn, err := l.Dial(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if _, err := io.WriteString(conn, "GET / HTTP/1.1\r\nHost: example.com\r\n\r\n"); err != nil {
				t.Fatal(err)
			}
			wg.Go(func() {
				viewers[i].watch(conn)
				conn.Close()
			})
		}
		synctest.Wait()
		if got := e.Stats().Streams; got != n || host().Len() != n {
			t.Fatalf("%d streams are open and %d parked, want %d", host().Len(), got, n)
		}
		publish(t, b, "a")

		begin := time.Now()
		if err := app.Shutdown(context.Background()); err != nil {
			t.Errorf("Shutdown = %v, want nil", err)
		}
		took := time.Since(begin)
		if took > drain/2 {
			t.Errorf("Shutdown took %v of %v", took, drain)
		}
		if err := <-served; err != nil {
			t.Errorf("Serve = %v, want nil", err)
		}
		wg.Wait()

		at, back := make(map[time.Duration]int), make(map[int64]int) // ends by time, returns by second
		for i := range viewers {
			v := &viewers[i]
			_, text, ok := strings.Cut(v.text.String(), "data: a\n\nretry: ")
			ms, text, _ := strings.Cut(text, "\n")
			wait, err := strconv.Atoi(ms)
			d := time.Duration(wait) * time.Millisecond
			if v.err != nil || !ok || err != nil || d < retry || d >= retry+jitter || text != "\nevent: bye\ndata: \n\n" {
				t.Fatalf("stream %d was %q, %v; want the event and a farewell with a jittered retry", i, v.text.String(), v.err)
			}
			at[v.ended.Sub(begin)]++
			back[int64((v.ended.Sub(begin)+d)/time.Second)]++
		}
		if want := n/512 + 1; len(at) < want {
			t.Errorf("streams ended at %d times, want %d waves", len(at), want)
		}
		most := 0
		for _, k := range back {
			most = max(most, k)
		}
		if most > n/4 { // of five seconds, a fifth each
			t.Errorf("%d of %d clients come back within one second: %v", most, n, back)
		}
		t.Logf("%d streams ended within %v at %d times; %d at most come back within one second", n, took, len(at), most)
		if got := b.Stats(); got.Subscribers != 0 || e.Stats().Streams != 0 || host().Len() != 0 || ends.Load() != int64(n) {
			t.Errorf("%d subscribers, %d parked and %d open streams are left, %d of %d ended by the shutdown",
				got.Subscribers, e.Stats().Streams, host().Len(), ends.Load(), n)
		}
	})
}
