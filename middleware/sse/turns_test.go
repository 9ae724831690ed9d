package sse_test

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/goceleris/celeris"
	"github.com/goceleris/celeris/internal/exchange"
	"github.com/goceleris/celeris/middleware/sse"
)

// stuckIn checks that a shutdown reports n callbacks of the site's route that do not return.
func stuckIn(t *testing.T, s *site, n int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	begin := time.Now()
	err := s.app.Shutdown(ctx)
	stuck, ok := errors.AsType[*celeris.StuckError](err)
	if !ok || stuck.Count != n || stuck.Routes["GET /"] != n {
		t.Errorf("Shutdown = %v, want %d stuck callbacks of GET /", err, n)
	}
	if took := time.Since(begin); took > 6*time.Second {
		t.Errorf("Shutdown took %v", took)
	}
}

func TestShutdown_ReportsCallbacksOfStreamsThatHaveEnded(t *testing.T) {
	for _, hangs := range []string{"OnDisconnect", "OnStreamEnd"} {
		t.Run(hangs, func(t *testing.T) {
			inBubbles(t, func(t *testing.T, w way) {
				release := make(chan struct{})
				h := sse.New(tame(sse.Config{
					Broker: newBroker(t, sse.BrokerConfig{}),
					OnDisconnect: func(*sse.Client, error) {
						if hangs == "OnDisconnect" {
							<-release
						}
					},
				}))
				s := newSite(t, w, celeris.Config{}, func(c *celeris.Context) error {
					c.OnStreamEnd(func(celeris.StreamEnd) {
						if hangs == "OnStreamEnd" {
							<-release
						}
					})
					return h(c)
				})
				for range 2 {
					tab := s.visit()
					tab.all()
					tab.leave()
				}
				stuckIn(t, s, 2)
				close(release)
			})
		})
	}
}

// changing is a writer that changes what is written.
type changing struct{ http.ResponseWriter }

func (w changing) Unwrap() http.ResponseWriter { return w.ResponseWriter }

func (w changing) Write(p []byte) (int, error) { return w.ResponseWriter.Write(bytes.ToUpper(p)) }

func TestShutdown_CountsACallbackWithinItsRequestOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		h := sse.New(tame(sse.Config{
			Broker:       newBroker(t, sse.BrokerConfig{}),
			OnDisconnect: func(*sse.Client, error) { <-release },
		}))
		s := newSite(t, h1, celeris.Config{}, func(c *celeris.Context) error {
			c.SetResponse(changing{c.Response()}) // the stream stays inside
			return h(c)
		})
		tab := s.visit()
		tab.all()
		tab.leave()
		stuckIn(t, s, 1)
		close(release)
	})
}

// turns is a site of which few callbacks about ends run at once; each waits for a token.
type turns struct {
	*site
	host   *exchange.Host
	began  chan string
	tokens chan struct{}
}

// takingTurns serves streams named by their query.
func takingTurns(t *testing.T, maxCallbacks int, cfg sse.Config) *turns {
	s := &turns{began: make(chan string, 1000), tokens: make(chan struct{})}
	h := sse.New(tame(cfg))
	s.site = newSite(t, parked, celeris.Config{MaxCallbacks: maxCallbacks}, func(c *celeris.Context) error {
		s.host = exchange.From(c.Context()).Host()
		name := c.Request().URL.RawQuery
		c.OnStreamEnd(func(celeris.StreamEnd) {
			s.began <- name
			<-s.tokens
		})
		return h(c)
	})
	return s
}

// come lets a stream begin and end.
func (s *turns) come(name string) {
	tab := s.visitAt("/?" + name)
	tab.all()
	tab.leave()
	synctest.Wait()
}

// want checks whose callbacks have begun since the last time, and the gauges.
func (s *turns) want(t *testing.T, running, waiting int, names ...string) {
	t.Helper()
	synctest.Wait()
	var got []string
	for len(s.began) > 0 {
		got = append(got, <-s.began)
	}
	if !slices.Equal(got, names) {
		t.Errorf("callbacks of %q began, want %q", got, names)
	}
	if r, w := s.host.Callbacks(); r != running || w != waiting {
		t.Errorf("Callbacks() = %d, %d, want %d, %d", r, w, running, waiting)
	}
}

func TestCallbacks_WaitForTheirTurn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBroker(t, sse.BrokerConfig{})
		var clients []*sse.Client
		var gone []string
		s := takingTurns(t, 2, sse.Config{
			Broker:       b,
			OnConnect:    func(c *sse.Client) error { clients = append(clients, c); return nil },
			OnDisconnect: func(c *sse.Client, _ error) { gone = append(gone, c.Request().URL.RawQuery) },
		})
		for _, name := range []string{"a", "b", "c", "d", "e"} {
			s.come(name)
		}
		s.want(t, 2, 3, "a", "b")
		if got := b.Stats().Subscribers; got != 0 || s.host.Len() != 5 {
			t.Errorf("%d subscribers, %d streams of the server; want 0, and 5 of which somebody has to be told", got, s.host.Len())
		}
		for _, c := range clients {
			if c.Context().Err() == nil {
				t.Errorf("the context of %s waits for a callback", c.Request().URL.RawQuery)
			}
		}
		s.tokens <- struct{}{}
		s.want(t, 2, 2, "c")
		s.tokens <- struct{}{}
		s.want(t, 2, 1, "d")
		stuckIn(t, s.site, 3) // two that hang, and the one behind them
		close(s.tokens)
		s.want(t, 0, 0, "e")
		if want := []string{"a", "b", "c", "d", "e"}; !slices.Equal(gone, want) || s.host.Len() != 0 {
			t.Errorf("OnDisconnect of %q, want %q; %d streams left", gone, want, s.host.Len())
		}
	})
}

func TestCallbacks_OfAHandlerNeedNoTurn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		gone := make(chan string, 2)
		s := takingTurns(t, 1, sse.Config{
			Handler:      func(c *sse.Client) { <-c.Context().Done() },
			OnDisconnect: func(c *sse.Client, _ error) { gone <- c.Request().URL.RawQuery },
		})
		s.come("a")
		s.come("b")
		s.want(t, 1, 1, "a")
		if len(gone) != 2 {
			t.Errorf("%d of 2 handlers learned that their stream had ended", len(gone))
		}
		close(s.tokens)
		s.want(t, 0, 0, "b")
	})
}

func TestCallbacks_AHundredThatHangDelayNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := takingTurns(t, 0, sse.Config{Broker: newBroker(t, sse.BrokerConfig{})})
		names := slices.Repeat([]string{"stuck"}, 100)
		for _, name := range names {
			s.come(name)
		}
		s.want(t, 100, 0, names...)
		s.come("another")
		s.want(t, 101, 0, "another")
		close(s.tokens)
		s.want(t, 0, 0)
	})
}
