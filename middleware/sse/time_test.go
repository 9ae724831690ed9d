package sse_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/goceleris/celeris"
	"github.com/goceleris/celeris/engine"
	"github.com/goceleris/celeris/internal/memnet"
	"github.com/goceleris/celeris/middleware/sse"
)

func TestHeartbeat_BreaksSilenceOnly(t *testing.T) {
	inBubbles(t, func(t *testing.T, w way) {
		b := newBroker(t, sse.BrokerConfig{})
		tab := stream(t, w, sse.Config{Broker: b, Topics: on("mine")}).visit()
		equal(t, "opening", tab.all(), "retry: 3000|id: E-0")
		for i := range 6 {
			time.Sleep(10 * time.Second)
			publish(t, b, strconv.Itoa(i), "mine")
			equal(t, "while events flow", tab.all(), fmt.Sprintf("id: E-%d|data: %d", i+1, i))
		}
		publish(t, b, "x", "other")
		time.Sleep(15*time.Second - 1)
		equal(t, "before the interval is over", tab.all())
		time.Sleep(time.Nanosecond)
		equal(t, "after the interval", tab.all(), "id: E-7")
		time.Sleep(30 * time.Second)
		equal(t, "in a long silence", tab.all(), "id: E-7", "id: E-7")
	})
}

func TestHeartbeat_IsACommentWithoutBroker(t *testing.T) {
	inBubbles(t, func(t *testing.T, w way) {
		s, clients := chat(t, w, sse.Config{HeartbeatInterval: time.Minute})
		tab := s.visit()
		c := <-clients
		time.Sleep(30 * time.Second)
		if err := c.Send(sse.Event{Data: "a"}); err != nil {
			t.Error(err)
		}
		time.Sleep(time.Minute - 1)
		equal(t, "before", tab.all(), "retry: 3000", "data: a")
		time.Sleep(time.Nanosecond)
		equal(t, "after", tab.all(), ":")
	})
}

func TestMaxAge_EndsWithAFarewell(t *testing.T) {
	inBubbles(t, func(t *testing.T, w way) {
		b := newBroker(t, sse.BrokerConfig{})
		reasons := make(chan error, 1)
		tab := stream(t, w, sse.Config{
			Broker: b, MaxAge: time.Hour, HeartbeatInterval: 24 * time.Hour, Farewell: &sse.Event{Event: "bye"},
			OnDisconnect: func(_ *sse.Client, reason error) { reasons <- reason },
		}).visit()
		time.Sleep(time.Hour - 1)
		publish(t, b, "last")
		if !tab.open() {
			t.Error("the stream ended before its age")
		}
		time.Sleep(time.Nanosecond)
		equal(t, "stream", tab.rest(), "retry: 3000|id: E-0", "id: E-1|data: last", "retry: 3000", "event: bye|data: ")
		is(t, "reason", <-reasons, sse.ErrMaxAge)
	})
}

func TestFarewell_SpreadsReconnects(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBroker(t, sse.BrokerConfig{})
		s := newSite(t, h1, celeris.Config{}, sse.New(sse.Config{
			Broker: b, RetryInterval: 2 * time.Second, RetryJitter: 10 * time.Second, Logger: quiet,
		}))
		var tabs []*tab
		for range 50 {
			tabs = append(tabs, s.visit())
		}
		if err := s.app.Shutdown(t.Context()); err != nil {
			t.Error(err)
		}
		low, high := 1<<30, 0
		for _, tab := range tabs {
			got := tab.rest()
			if len(got) != 2 || got[0] != "retry: 2000|id: E-0" { // every stream begins with the normal one
				t.Fatalf("stream %q", got)
			}
			ms, err := strconv.Atoi(strings.TrimPrefix(got[1], "retry: "))
			if err != nil || ms < 2000 || ms >= 12000 {
				t.Errorf("farewell %q, want a retry of 2000 to 11999", got[1])
			}
			low, high = min(low, ms), max(high, ms)
		}
		if high-low < 3000 {
			t.Errorf("50 clients return within %d ms", high-low)
		}
	})
}

func TestStream_OutlivesRequestTimeouts(t *testing.T) {
	inBubbles(t, func(t *testing.T, w way) {
		b := newBroker(t, sse.BrokerConfig{})
		cfg := celeris.Config{WriteTimeout: 5 * time.Second, IdleTimeout: 5 * time.Second, ReadHeaderTimeout: 5 * time.Second}
		tab := newSite(t, w, cfg, sse.New(tame(sse.Config{Broker: b, HeartbeatInterval: 20 * time.Minute}))).visit()
		time.Sleep(time.Hour - time.Minute)
		publish(t, b, "late")
		equal(t, "after an hour", tab.all(), "retry: 3000|id: E-0", "id: E-0", "id: E-0", "id: E-1|data: late")
		if !tab.open() {
			t.Error("the stream was cut")
		}
	})
}

func TestStream_OutlivesTimeoutsOfAForeignServer(t *testing.T) {
	for _, w := range []way{h1, h2c} {
		t.Run(w.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBroker(t, sse.BrokerConfig{})
				l := memnet.Listen(0)
				protocols := new(http.Protocols)
				protocols.SetHTTP1(true)
				protocols.SetUnencryptedHTTP2(true)
				srv := &http.Server{
					Handler:     sse.New(tame(sse.Config{Broker: b, HeartbeatInterval: 20 * time.Minute})),
					ReadTimeout: 5 * time.Second, WriteTimeout: 5 * time.Second, Protocols: protocols,
				}
				go srv.Serve(l)
				defer srv.Close()
				tab := (&site{t: t, way: w, net: l}).visit()
				time.Sleep(time.Hour - time.Minute)
				publish(t, b, "late")
				equal(t, "after an hour", tab.all(), "retry: 3000|id: E-0", "id: E-0", "id: E-0", "id: E-1|data: late")
			})
		})
	}
}

// flood publishes n events of about 1 KiB, and lets each be dealt with.
func flood(t *testing.T, b *sse.Broker, n int) {
	t.Helper()
	for range n {
		publish(t, b, strings.Repeat("x", 1000))
		synctest.Wait()
	}
}

func TestMaxStall_EndsAReaderThatStandsStill(t *testing.T) {
	inBubbles(t, func(t *testing.T, w way) {
		b := newBroker(t, sse.BrokerConfig{})
		ends := make(chan error, 1)
		cfg := sse.Config{Broker: b, OnDisconnect: func(_ *sse.Client, reason error) { ends <- reason }}
		s := newSite(t, w, celeris.Config{MaxStall: 30 * time.Second}, sse.New(tame(cfg)))
		tab := s.visit()
		tab.all()
		tab.hold()
		flood(t, b, 200) // three times what the connection holds
		begin := time.Now()
		reason := <-ends
		if w.major == 2 && errors.Is(reason, engine.ErrPeerGone) {
			// All that the stream had was taken: it was idle when net/http gave the connection up.
			reason = engine.ErrStalled
		}
		is(t, "reason", reason, engine.ErrStalled)
		// HTTP/2 ends with its connection, which has the time twice: for the bytes that it took last, and for none.
		longest := 31 * time.Second
		if w.major == 2 {
			longest = 66 * time.Second
		}
		if took := time.Since(begin); took < 20*time.Second || took > longest {
			t.Errorf("it took %v, want 30s to %v", took, longest)
		}
		if got := b.Stats().Subscribers; got != 0 {
			t.Errorf("%d subscribers left", got)
		}
		tab.release()
	})
}

func TestMaxStall_SparesASlowSteadyReader(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBroker(t, sse.BrokerConfig{SubscriberBuffer: 1 << 20, MaxLagBytes: 1 << 30, HistoryAge: time.Hour})
		l := memnet.Listen(4 << 10)
		s := newSiteOn(t, l, h1, celeris.Config{MaxStall: 30 * time.Second}, sse.New(tame(sse.Config{Broker: b})))
		conn, err := s.dial(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		if _, err := io.WriteString(conn, "GET / HTTP/1.1\r\nHost: example.com\r\n\r\n"); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		flood(t, b, 400)
		publish(t, b, "the end")
		// 700 bytes a second: a piece takes 24 s, all of it ten minutes.
		begin, got, buf := time.Now(), []byte(nil), make([]byte, 700)
		for !bytes.Contains(got[max(0, len(got)-4096):], []byte("data: the end\n\n")) && len(got) < 1<<20 {
			n, err := conn.Read(buf)
			if err != nil {
				t.Fatalf("cut after %v and %d bytes: %v", time.Since(begin), len(got), err)
			}
			got = append(got, buf[:n]...)
			time.Sleep(time.Second)
		}
		if n := strings.Count(string(got), "event: resync"); n != 0 || time.Since(begin) < 9*time.Minute {
			t.Errorf("%d resyncs in %v", n, time.Since(begin))
		}
	})
}

func TestSnapshot_TimeoutFallsBackToTheResync(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		causes := make(chan error, 1)
		b := newBroker(t, sse.BrokerConfig{
			SnapshotTimeout: 2 * time.Second,
			Snapshot: func(ctx context.Context, r sse.SnapshotRequest) (sse.Event, error) {
				<-ctx.Done()
				causes <- ctx.Err()
				time.Sleep(time.Second)
				return sse.Event{Data: "too late"}, nil
			},
		})
		s := stream(t, h1, sse.Config{Broker: b})
		tab := s.visit("Last-Event-Id", "other-7")
		publish(t, b, "a")
		time.Sleep(2*time.Second - 1)
		equal(t, "while the snapshot is built", tab.all(), "retry: 3000|id: E-7")
		time.Sleep(time.Nanosecond)
		equal(t, "after its time", tab.all(), `id: E-1|event: resync|data: {"dropped":0,"reason":"restarted"}`)
		publish(t, b, "b")
		time.Sleep(2 * time.Second)
		equal(t, "then", tab.all(), "id: E-2|data: b")
		if err := <-causes; !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("the snapshot's context ended with %v", err)
		}
	})
}

// silent opens a stream with a body that never comes.
func (s *site) silent() net.Conn {
	s.t.Helper()
	c, err := s.dial(s.t.Context())
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { c.Close() })
	if _, err := io.WriteString(c, "GET / HTTP/1.1\r\nHost: example.com\r\nContent-Length: 1\r\n\r\n"); err != nil {
		s.t.Fatal(err)
	}
	synctest.Wait()
	return c
}

func TestMaxStall_EndsARequestWhoseBodyDoesNotCome(t *testing.T) {
	for _, w := range []way{h1, parked} {
		t.Run(w.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBroker(t, sse.BrokerConfig{})
				reasons := make(chan error, 1)
				s := newSite(t, w, celeris.Config{MaxStall: time.Minute}, sse.New(tame(sse.Config{
					Broker: b, OnDisconnect: func(_ *sse.Client, reason error) { reasons <- reason },
				})))
				c := s.silent()
				time.Sleep(time.Minute)
				synctest.Wait()
				select {
				case err := <-reasons:
					is(t, "reason", err, engine.ErrStalled)
				default:
					t.Fatal("the stream has not ended")
				}
				if _, err := io.Copy(io.Discard, c); err != nil {
					t.Errorf("the connection stays open: %v", err)
				}
			})
		})
	}
}

func TestCut_EndsARequestWhoseBodyDoesNotCome(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBroker(t, sse.BrokerConfig{})
		stream(t, h1, sse.Config{Broker: b}).silent()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		begin := time.Now()
		is(t, "Close", b.Close(ctx), context.DeadlineExceeded)
		if n, d := b.Stats().Subscribers, time.Since(begin); n != 0 || d != time.Second {
			t.Errorf("%d subscribers after %v", n, d)
		}
	})
}
