package sse_test

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/netip"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/goceleris/celeris"
	"github.com/goceleris/celeris/engine"
	"github.com/goceleris/celeris/internal/exchange"
	"github.com/goceleris/celeris/internal/memnet"
	"github.com/goceleris/celeris/middleware/recovery"
	"github.com/goceleris/celeris/middleware/sse"
)

// watched is a handler that tells which host it is served by, and makes panics a 500.
func watched(cfg sse.Config) (celeris.HandlerFunc, func() *exchange.Host) {
	var host atomic.Pointer[exchange.Host]
	h := recovery.New(recovery.Config{Logger: quiet})(sse.New(tame(cfg)))
	return func(c *celeris.Context) error {
		host.Store(exchange.From(c.Context()).Host())
		return h(c)
	}, host.Load
}

// browser is what a browser's EventSource sends, and then pairs.
func browser(pairs ...string) []string {
	return append([]string{"Sec-Fetch-Mode", "cors", "Accept", "text/event-stream"}, pairs...)
}

// answer is status for a request that may get a stream all the same: it reads no more than a few heartbeats of it.
func (s *site) answer(method, target string, header ...string) (*http.Response, string) {
	s.t.Helper()
	res, _ := s.do(method, target, header...)
	defer res.Body.Close()
	b, err := io.ReadAll(io.LimitReader(res.Body, 200))
	if err != nil {
		s.t.Fatalf("%s %s: read body: %v", method, target, err)
	}
	return res, string(b)
}

// byHeader is a ClientIP: the header X-Client, or nobody without it.
func byHeader(r *http.Request) netip.Addr {
	a, _ := netip.ParseAddr(r.Header.Get("X-Client"))
	return a
}

func TestLimit_TurnsAwayOneTooMany(t *testing.T) {
	inBubbles(t, func(t *testing.T, w way) {
		var log lockedLog
		b := newBroker(t, sse.BrokerConfig{})
		var calls atomic.Int64
		h, host := watched(sse.Config{
			Broker: b, RetryInterval: 2 * time.Second, RetryJitter: time.Second,
			Topics:       func(*celeris.Context) ([]string, error) { calls.Add(1); return []string{""}, nil },
			OnConnect:    func(*sse.Client) error { calls.Add(1); return nil },
			OnDisconnect: func(*sse.Client, error) { calls.Add(1) },
		})
		s := newSite(t, w, celeris.Config{MaxStreams: 2, Logger: slog.New(slog.NewTextHandler(&log, nil))}, h)
		first, second := s.visit(), s.visit()
		first.all()

		asked := calls.Load()
		body := regexp.MustCompile(`^retry: 2\d\d\d\nid: x-7\n\n$`)
		for range 5 {
			res, got := s.answer("GET", "/", browser("Last-Event-Id", "x-7")...)
			if res.StatusCode != 200 || res.Header.Get("Content-Type") != "text/event-stream" ||
				res.Header.Get("Cache-Control") != "no-store" || !body.MatchString(got) {
				t.Errorf("a browser got %d %v %q, want a 200 that ends with a jittered retry", res.StatusCode, res.Header, got)
			}
			for e, err := range sse.Read(strings.NewReader(got)) {
				t.Errorf("the answer has %+v, %v in it, want nothing", e, err)
			}
			res, _ = s.answer("GET", "/", "Accept", "text/event-stream")
			if after := res.Header.Get("Retry-After"); res.StatusCode != 503 || after != "2" && after != "3" ||
				res.Header.Get("Cache-Control") != "no-store" {
				t.Errorf("a program got %d %v, want a 503 with Retry-After", res.StatusCode, res.Header)
			}
		}
		if calls.Load() != asked {
			t.Error("callbacks ran for streams that were turned away")
		}
		if st := b.Stats(); st.Subscribers != 2 || host().Len() != 2 {
			t.Errorf("%d subscribers, %d streams, want 2", st.Subscribers, host().Len())
		}
		if got, want := host().Refused(), (exchange.Refused{Server: 10}); got != want {
			t.Errorf("Refused() = %+v, want %+v", got, want)
		}
		if got := log.String(); strings.Count(got, "streams refused") != 1 || strings.Contains(got, "request failed") {
			t.Errorf("log %q, want one line of the refusals", got)
		}

		publish(t, b, "a")
		equal(t, "stream within the limit", second.all(), "retry: 2000|id: E-0", "id: E-1|data: a")
		first.leave()
		publish(t, b, "b") // a connection of HTTP/2 may notice it only now
		synctest.Wait()
		third := s.visit()
		equal(t, "stream in the place of one that left", third.all(), "retry: 2000|id: E-2")
	})
}

func TestLimit_PerClientBoundsOneAndNobodyElse(t *testing.T) {
	inBubbles(t, func(t *testing.T, w way) {
		h, host := watched(sse.Config{Broker: newBroker(t, sse.BrokerConfig{})})
		s := newSite(t, w, celeris.Config{MaxStreamsPerClient: 2, ClientIP: byHeader}, h)
		for _, tt := range []struct {
			client string
			want   int
		}{
			{"192.0.2.1", 200},
			{"192.0.2.1", 200},
			{"192.0.2.1", 503},
			{"::ffff:192.0.2.1", 503},
			{"192.0.2.2", 200},
			{"2001:db8::1", 200},
			{"2001:db8::2", 200},
			{"2001:db8::3", 503},
			{"2001:db8:0:1::3", 200},
			{"unknown", 200},
			{"unknown", 200},
			{"unknown", 200},
		} {
			res, _ := s.do("GET", "/", "X-Client", tt.client)
			if res.StatusCode != tt.want {
				t.Errorf("client %s got %d, want %d", tt.client, res.StatusCode, tt.want)
			}
		}
		if got, want := host().Refused(), (exchange.Refused{Client: 3}); got != want || host().Clients() != 4 {
			t.Errorf("Refused() = %+v of %d clients, want %+v of 4", got, host().Clients(), want)
		}
	})
	synctest.Test(t, func(t *testing.T) {
		h, _ := watched(sse.Config{Broker: newBroker(t, sse.BrokerConfig{})})
		s := newSite(t, h1, celeris.Config{MaxStreamsPerClient: 1}, h)
		s.visit()
		if res, _ := s.answer("GET", "/"); res.StatusCode != 503 { // all of a network in memory come from one address
			t.Errorf("the second stream from an address got %d, want 503", res.StatusCode)
		}
	})
}

func TestLimit_IsExactWhenClientsCompete(t *testing.T) {
	inBubbles(t, func(t *testing.T, w way) {
		const limit, n = 10, 60
		var accepted, ended, full atomic.Int64
		b := newBroker(t, sse.BrokerConfig{})
		h, host := watched(sse.Config{
			Broker: b,
			OnConnect: func(*sse.Client) error {
				time.Sleep(time.Second) // all are past the first look
				accepted.Add(1)
				return nil
			},
			OnDisconnect: func(_ *sse.Client, reason error) {
				ended.Add(1)
				if errors.Is(reason, engine.ErrFull) {
					full.Add(1)
				}
			},
		})
		s := newSite(t, w, celeris.Config{MaxStreams: limit, MaxStreamsPerClient: 4, ClientIP: byHeader}, h)
		var mu sync.Mutex
		status, perClient := make(map[int]int), make(map[string]int)
		var open []func()
		var wg sync.WaitGroup
		for i := range n {
			client := fmt.Sprintf("192.0.2.%d", i%6)
			wg.Go(func() {
				res, conn := s.do("GET", "/", "X-Client", client)
				mu.Lock()
				defer mu.Unlock()
				status[res.StatusCode]++
				if res.StatusCode == 200 {
					perClient[client]++
				}
				open = append(open, func() {
					_ = res.Body.Close()
					conn.Close()
				})
			})
		}
		wg.Wait()
		if status[200] != limit || status[503] != n-limit {
			t.Errorf("status %v, want %d streams and %d refusals", status, limit, n-limit)
		}
		for client, got := range perClient {
			if got > 4 {
				t.Errorf("%d streams of %s, want 4 at most", got, client)
			}
		}
		r := host().Refused()
		if host().Len() != limit || b.Stats().Subscribers != limit || r.Server+r.Client != n-limit {
			t.Errorf("%d streams, %d subscribers, %+v refused", host().Len(), b.Stats().Subscribers, r)
		}
		for _, f := range open {
			f()
		}
		publish(t, b, "a")
		synctest.Wait()
		if host().Len() != 0 || host().Clients() != 0 {
			t.Errorf("%d streams of %d clients left", host().Len(), host().Clients())
		}
		if accepted.Load() != n || ended.Load() != n || full.Load() != n-limit {
			t.Errorf("OnConnect accepted %d, OnDisconnect ran for %d, %d of them above the limit; want %d, %d, %d",
				accepted.Load(), ended.Load(), full.Load(), n, n, n-limit)
		}
	})
}

func TestLimit_EveryEndGivesThePlaceBack(t *testing.T) {
	refuse := celeris.NewHTTPError(http.StatusForbidden, "no")
	for _, tt := range []struct {
		name string
		want int // status
		cfg  func(b *sse.Broker) sse.Config
		end  func(t *testing.T, b *sse.Broker, conn *memnet.Conn)
	}{
		{"client leaves", 200, nil, func(_ *testing.T, _ *sse.Broker, conn *memnet.Conn) { conn.Close() }},
		{"broker disconnects it", 200, nil, func(t *testing.T, b *sse.Broker, _ *memnet.Conn) {
			if n, err := b.Disconnect(func(*sse.Client) bool { return true }, errBanned, nil); n != 1 || err != nil {
				t.Errorf("Disconnect = %d, %v", n, err)
			}
		}},
		{"broker closes", 200, nil, func(t *testing.T, b *sse.Broker, _ *memnet.Conn) { _ = b.Close(t.Context()) }},
		{"client stands still", 200, nil, func(t *testing.T, b *sse.Broker, conn *memnet.Conn) {
			conn.Hold()
			flood(t, b, 400)
			time.Sleep(3 * time.Minute)
		}},
		{"maximum age", 200, func(b *sse.Broker) sse.Config { return sse.Config{Broker: b, MaxAge: time.Second} },
			func(*testing.T, *sse.Broker, *memnet.Conn) { time.Sleep(2 * time.Second) }},
		{"handler returns", 200, func(*sse.Broker) sse.Config {
			return sse.Config{Handler: func(*sse.Client) {}}
		}, nil},
		{"handler panics", 200, func(*sse.Broker) sse.Config {
			return sse.Config{Handler: func(*sse.Client) { panic("handler") }}
		}, nil},
		{"OnDisconnect panics", 200, func(b *sse.Broker) sse.Config {
			return sse.Config{Broker: b, MaxAge: time.Second, OnDisconnect: func(*sse.Client, error) { panic("disconnect") }}
		}, func(*testing.T, *sse.Broker, *memnet.Conn) { time.Sleep(2 * time.Second) }},
		{"OnConnect rejects", 403, func(b *sse.Broker) sse.Config {
			return sse.Config{Broker: b, OnConnect: func(*sse.Client) error { return refuse }}
		}, nil},
		{"OnConnect panics", 500, func(b *sse.Broker) sse.Config {
			return sse.Config{Broker: b, OnConnect: func(*sse.Client) error { panic("connect") }}
		}, nil},
		{"Topics rejects", 403, func(b *sse.Broker) sse.Config {
			return sse.Config{Broker: b, Topics: func(*celeris.Context) ([]string, error) { return nil, refuse }}
		}, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			inBubbles(t, func(t *testing.T, w way) {
				b := newBroker(t, sse.BrokerConfig{})
				cfg := sse.Config{Broker: b}
				if tt.cfg != nil {
					cfg = tt.cfg(b)
				}
				h, host := watched(cfg)
				s := newSite(t, w, celeris.Config{MaxStreams: 1, MaxStreamsPerClient: 1, ClientIP: byHeader}, h)
				for range 2 { // the second finds the place that the first gave back
					if _, err := b.Publish(t.Context(), sse.Event{Data: "a"}); err != nil {
						return // the broker is closed
					}
					res, conn := s.do("GET", "/", browser("X-Client", "192.0.2.1")...)
					if res.StatusCode != tt.want {
						t.Fatalf("status %d, want %d", res.StatusCode, tt.want)
					}
					synctest.Wait()
					if tt.end != nil {
						if host().Len() != 1 || host().Clients() != 1 {
							t.Fatalf("%d streams of %d clients are open, want 1 of 1", host().Len(), host().Clients())
						}
						tt.end(t, b, conn.(*memnet.Conn))
					}
					time.Sleep(2 * time.Second) // a connection lingers for one
					synctest.Wait()
					if host().Len() != 0 || host().Clients() != 0 {
						t.Fatalf("%d streams of %d clients are left", host().Len(), host().Clients())
					}
					_ = res.Body.Close()
					conn.Close()
				}
				if got := host().Refused(); got != (exchange.Refused{}) {
					t.Errorf("Refused() = %+v, want none", got)
				}
			})
		})
	}
}

func TestLimit_ClientIPThatPanicsFailsItsRequestOnly(t *testing.T) {
	inBubbles(t, func(t *testing.T, w way) {
		h, host := watched(sse.Config{Broker: newBroker(t, sse.BrokerConfig{})})
		s := newSite(t, w, celeris.Config{MaxStreams: 1, MaxStreamsPerClient: 1, ClientIP: func(r *http.Request) netip.Addr {
			if r.Header.Get("X-Client") == "" {
				panic("who is it?")
			}
			return byHeader(r)
		}}, h)
		for range 3 {
			if res, _ := s.answer("GET", "/"); res.StatusCode != 500 {
				t.Errorf("status %d, want 500", res.StatusCode)
			}
		}
		if host().Len() != 0 || host().Clients() != 0 || host().Refused() != (exchange.Refused{}) {
			t.Errorf("%d streams of %d clients, %+v refused", host().Len(), host().Clients(), host().Refused())
		}
		if res, _ := s.do("GET", "/", "X-Client", "192.0.2.1"); res.StatusCode != 200 {
			t.Errorf("the next client got %d, want 200", res.StatusCode)
		}
	})
}

func TestLimit_CountsWhatADrainTurnsAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log lockedLog
		h, host := watched(sse.Config{Broker: newBroker(t, sse.BrokerConfig{})})
		s := newSite(t, h2c, celeris.Config{Logger: slog.New(slog.NewTextHandler(&log, nil))}, h)
		tab := s.visit()
		tab.all()
		host().Drain()
		if res, _ := s.answer("GET", "/"); res.StatusCode != 503 {
			t.Errorf("status %d, want 503", res.StatusCode)
		}
		res, body := s.answer("GET", "/", browser()...)
		if res.StatusCode != 200 || !strings.HasPrefix(body, "retry: ") {
			t.Errorf("a browser got %d %q", res.StatusCode, body)
		}
		if got, want := host().Refused(), (exchange.Refused{Draining: 2}); got != want {
			t.Errorf("Refused() = %+v, want %+v", got, want)
		}
		if got := log.String(); strings.Contains(got, "WARN") || strings.Contains(got, "ERROR") {
			t.Errorf("log %q, want no complaint", got)
		}
	})
}

// lockedLog is text that a logger writes while a test reads it.
type lockedLog struct {
	mu sync.Mutex
	b  strings.Builder
}

func (l *lockedLog) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedLog) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}
