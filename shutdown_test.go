package celeris_test

import (
	"context"
	"errors"
	"io"
	"maps"
	"net/http"
	"net/netip"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/goceleris/celeris"
	"github.com/goceleris/celeris/engine"
	"github.com/goceleris/celeris/internal/exchange"
)

// fakeStream is an open stream that ends as its test wishes.
type fakeStream struct {
	onDrain func(*fakeStream, error)
	onCut   func(*fakeStream, error)
	host    *exchange.Host
	end     func()
	done    chan struct{}
}

func openStream(t testing.TB, app *celeris.Server, onDrain, onCut func(*fakeStream, error)) *fakeStream {
	t.Helper()
	s := &fakeStream{onDrain: onDrain, onCut: onCut, host: hostOf(app), done: make(chan struct{})}
	s.end = sync.OnceFunc(func() {
		close(s.done)
		s.host.Remove(s)
	})
	if err := s.host.Add(s, netip.Addr{}); err != nil {
		t.Fatal(err)
	}
	return s
}

func (s *fakeStream) Drain(reason error)    { s.onDrain(s, reason) }
func (s *fakeStream) Cut(reason error)      { s.onCut(s, reason) }
func (s *fakeStream) Done() <-chan struct{} { return s.done }

// hostOf returns the register of app's streams. app has a route GET /host by drainable.
func hostOf(app *celeris.Server) (h *exchange.Host) {
	record(app, "GET", "/host", "", "X-Host", "1")
	v, _ := hosts.LoadAndDelete(app)
	return v.(*exchange.Host)
}

var hosts sync.Map

// drainable returns a server with routes for tests of Shutdown.
func drainable(cfg celeris.Config) *celeris.Server {
	app := celeris.New(cfg)
	app.GET("/host", func(c *celeris.Context) error {
		hosts.Store(app, exchange.From(c.Context()).Host())
		return nil
	})
	app.GET("/ready", app.Ready())
	app.GET("/sleep/{for}", func(c *celeris.Context) error {
		d, err := time.ParseDuration(c.Param("for"))
		if err != nil {
			return err
		}
		select {
		case <-time.After(d):
			return c.String(200, "slept")
		case <-c.Context().Done():
			return context.Cause(c.Context())
		}
	})
	app.GET("/ignore/{for}", func(c *celeris.Context) error {
		d, err := time.ParseDuration(c.Param("for"))
		c.Logger().Info("ignoring")
		time.Sleep(d)
		return err
	})
	return app
}

// within returns a context that ends after d, and with the bubble.
func within(t testing.TB, d time.Duration) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), d)
	t.Cleanup(cancel)
	return ctx
}

func unexpected(t testing.TB, what string) func(*fakeStream, error) {
	return func(_ *fakeStream, reason error) { t.Errorf("%s(%v), want none", what, reason) }
}

func TestShutdown_LetsRequestsEnd(t *testing.T) {
	everywhere(t, func(t *testing.T, p protocol) {
		app := drainable(p.config(celeris.Config{}))
		l := newPipes()
		result := serve(t, app, l)
		client := p.client(t, l)
		request(t, client, "GET", p.url("/ready"))
		var wg sync.WaitGroup
		for range 3 {
			wg.Go(func() {
				if code, body := request(t, client, "GET", p.url("/sleep/3s")); code != 200 || body != "slept" {
					t.Errorf("request in progress = %d %q, want 200 slept", code, body)
				}
			})
		}
		time.Sleep(time.Second)
		start := time.Now()
		if err := app.Shutdown(within(t, time.Minute)); err != nil {
			t.Errorf("Shutdown = %v, want nil", err)
		}
		// What is left of the requests, and the second for which HTTP/2 waits after GOAWAY.
		if took := time.Since(start); took < 2*time.Second || took > 4*time.Second {
			t.Errorf("Shutdown took %v, want what the requests needed", took)
		}
		wg.Wait()
		if err := <-result; err != nil {
			t.Errorf("Serve = %v, want nil", err)
		}
		if res, err := client.Get(p.url("/ready")); err == nil {
			res.Body.Close()
			t.Error("a request after the shutdown was answered")
		}
	})
}

func TestShutdown_DrainsStreamsAndAnswersRequests(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		app := drainable(quiet())
		drained := make(chan error, 1)
		s := openStream(t, app, func(s *fakeStream, reason error) { drained <- reason }, unexpected(t, "Cut"))
		if w := record(app, "GET", "/ready", ""); w.Code != 200 || w.Header().Get("Connection") != "" {
			t.Errorf("ready = %d, Connection %q before the shutdown, want 200 and none", w.Code, w.Header().Get("Connection"))
		}
		result := make(chan error, 1)
		go func() { result <- app.Shutdown(within(t, time.Minute)) }()
		if reason := <-drained; !errors.Is(reason, engine.ErrShutdown) {
			t.Errorf("Drain(%v), want ErrShutdown", reason)
		}
		if w := record(app, "GET", "/ready", ""); w.Code != 503 || w.Header().Get("Connection") != "close" {
			t.Errorf("ready = %d, Connection %q while draining, want 503 and close", w.Code, w.Header().Get("Connection"))
		}
		if w := record(app, "GET", "/sleep/1s", ""); w.Code != 200 {
			t.Errorf("request while draining = %d, want 200", w.Code)
		}
		if err := s.host.Add(s, netip.Addr{}); !errors.Is(err, exchange.ErrDraining) {
			t.Errorf("new stream while draining: %v, want ErrDraining", err)
		}
		time.Sleep(10 * time.Second)
		select {
		case err := <-result:
			t.Fatalf("Shutdown = %v while a stream was open", err)
		default:
		}
		s.end()
		if err := <-result; err != nil {
			t.Errorf("Shutdown = %v, want nil", err)
		}
	})
}

func TestShutdown_WaitsForCallbacks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		app := drainable(quiet())
		leave := hostOf(app).Enter("GET /events")
		time.AfterFunc(time.Second, leave)
		start := time.Now()
		if err := app.Shutdown(within(t, time.Minute)); err != nil || time.Since(start) != time.Second {
			t.Errorf("Shutdown = %v after %v, want nil after 1s", err, time.Since(start))
		}
	})
}

func TestShutdown_CutsAtTheDeadline(t *testing.T) {
	everywhere(t, func(t *testing.T, p protocol) {
		app := drainable(p.config(celeris.Config{}))
		cause := make(chan error, 1)
		app.GET("/cause", func(c *celeris.Context) error {
			<-c.Context().Done()
			cause <- context.Cause(c.Context())
			return nil
		})
		var reason error
		openStream(t, app, func(*fakeStream, error) {}, func(s *fakeStream, r error) { reason = r; s.end() })
		l := newPipes()
		result := serve(t, app, l)
		client := p.client(t, l)
		var wg sync.WaitGroup
		wg.Go(func() {
			if res, err := client.Get(p.url("/cause")); err == nil {
				res.Body.Close()
			}
		})
		synctest.Wait()
		start := time.Now()
		err := app.Shutdown(within(t, 3*time.Second))
		if !errors.Is(err, context.DeadlineExceeded) || errors.Is(err, celeris.ErrStuckCallbacks) {
			t.Errorf("Shutdown = %v, want DeadlineExceeded and nothing stuck", err)
		}
		if took := time.Since(start); took != 3*time.Second {
			t.Errorf("Shutdown took %v, want 3s", took)
		}
		if !errors.Is(reason, engine.ErrCut) {
			t.Errorf("Cut(%v), want ErrCut", reason)
		}
		if got := <-cause; !errors.Is(got, engine.ErrCut) {
			t.Errorf("cause of the request's end = %v, want ErrCut", got)
		}
		if got := <-result; got != err {
			t.Errorf("Serve = %v, want the result of Shutdown", got)
		}
		wg.Wait()
	})
}

func TestShutdown_ReportsWhatIsStuck(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		app := drainable(quiet())
		leave := hostOf(app).Enter("GET /events")
		defer leave()
		var wg sync.WaitGroup
		for range 2 {
			wg.Go(func() { record(app, "GET", "/ignore/1h", "") })
		}
		wg.Go(func() { record(app, "GET", "/sleep/1h", "") }) // ends when it is cut
		synctest.Wait()
		start := time.Now()
		err := app.Shutdown(within(t, time.Second))
		stuck, ok := errors.AsType[*celeris.StuckError](err)
		if !ok || !errors.Is(err, celeris.ErrStuckCallbacks) || !errors.Is(err, context.DeadlineExceeded) {
			t.Fatalf("Shutdown = %v, want a StuckError with its cause", err)
		}
		want := map[string]int{"GET /ignore/{for}": 2, "GET /events": 1}
		if stuck.Count != 3 || !maps.Equal(stuck.Routes, want) {
			t.Errorf("stuck = %d %v, want 3 %v", stuck.Count, stuck.Routes, want)
		}
		if got, want := err.Error(), `celeris: handlers or callbacks did not end: 3 still run: "GET /events" (1), "GET /ignore/{for}" (2)`; got != want {
			t.Errorf("Error() = %q, want %q", got, want)
		}
		if took := time.Since(start); took != 1500*time.Millisecond {
			t.Errorf("Shutdown took %v, want the deadline and half a second", took)
		}
		wg.Wait()
	})
}

func TestShutdown_ReportsAMiddlewareThatIsStuckWithoutARoute(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		app := celeris.New(quiet())
		app.Use(func(next celeris.HandlerFunc) celeris.HandlerFunc {
			return func(c *celeris.Context) error {
				time.Sleep(time.Hour)
				return next(c)
			}
		})
		var wg sync.WaitGroup
		wg.Go(func() { record(app, "GET", "/missing", "") })
		synctest.Wait()
		stuck, _ := errors.AsType[*celeris.StuckError](app.Shutdown(within(t, time.Second)))
		if stuck == nil || !maps.Equal(stuck.Routes, map[string]int{"": 1}) {
			t.Errorf("stuck = %+v, want one without a route", stuck)
		}
		wg.Wait()
	})
}

func TestShutdown_HasADeadlineOfItsOwn(t *testing.T) {
	for given, want := range map[time.Duration]time.Duration{0: 10 * time.Second, time.Minute: time.Minute} {
		synctest.Test(t, func(t *testing.T) {
			cfg := quiet()
			cfg.DrainTimeout = given
			app := drainable(cfg)
			openStream(t, app, func(*fakeStream, error) {}, func(s *fakeStream, _ error) { s.end() })
			start := time.Now()
			err := app.Shutdown(context.Background())
			if took := time.Since(start); !errors.Is(err, context.DeadlineExceeded) || took != want {
				t.Errorf("Shutdown = %v after %v, want DeadlineExceeded after %v", err, took, want)
			}
		})
	}
}

func TestShutdown_IsJoinedByASecondCall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		app := drainable(quiet())
		openStream(t, app, func(*fakeStream, error) {}, func(s *fakeStream, _ error) { s.end() })
		impatient := errors.New("impatient")
		start := time.Now()
		first := make(chan error, 1)
		go func() { first <- app.Shutdown(within(t, time.Hour)) }()
		synctest.Wait()
		ctx, cancel := context.WithCancelCause(within(t, time.Hour))
		time.AfterFunc(time.Second, func() { cancel(impatient) })
		err := app.Shutdown(ctx)
		if !errors.Is(err, impatient) || time.Since(start) != time.Second {
			t.Errorf("second Shutdown = %v after %v, want its own cause after 1s", err, time.Since(start))
		}
		if got := <-first; got != err {
			t.Errorf("first Shutdown = %v, want %v", got, err)
		}
		if got := app.Shutdown(t.Context()); got != err {
			t.Errorf("third Shutdown = %v, want %v", got, err)
		}
	})
}

func TestShutdown_OfNothingIsNilEvenWhenLate(t *testing.T) {
	app := drainable(quiet())
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := app.Shutdown(ctx); err != nil {
		t.Errorf("Shutdown = %v, want nil", err)
	}
}

func TestShutdown_BeforeServeRefusesToServe(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		app := drainable(quiet())
		if err := app.Shutdown(t.Context()); err != nil {
			t.Errorf("Shutdown = %v, want nil", err)
		}
		l := newPipes()
		if err := app.Serve(t.Context(), l); !errors.Is(err, http.ErrServerClosed) {
			t.Errorf("Serve = %v, want ErrServerClosed", err)
		}
		if _, err := l.Dial(t.Context()); err == nil {
			t.Error("the listener is still open")
		}
	})
}

func TestShutdown_ConcurrentlyWithServe(t *testing.T) {
	for range 20 {
		synctest.Test(t, func(t *testing.T) {
			app := drainable(quiet())
			var wg sync.WaitGroup
			for range 2 {
				wg.Go(func() {
					if err := app.Serve(t.Context(), newPipes()); err != nil && !errors.Is(err, http.ErrServerClosed) {
						t.Errorf("Serve = %v, want nil or ErrServerClosed", err)
					}
				})
				wg.Go(func() {
					if err := app.Shutdown(t.Context()); err != nil {
						t.Errorf("Shutdown = %v, want nil", err)
					}
				})
			}
			wg.Wait()
		})
	}
}

func TestShutdown_EndsEveryListener(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		app := drainable(quiet())
		first, cancel := context.WithCancel(t.Context())
		results := make(chan error, 2)
		a, b := newPipes(), newPipes()
		go func() { results <- app.Serve(first, a) }()
		go func() { results <- app.Serve(context.Background(), b) }()
		for _, l := range []*pipes{a, b} {
			if code, _ := request(t, protocols[0].client(t, l), "GET", "http://x/ready"); code != 200 {
				t.Errorf("status = %d, want 200", code)
			}
		}
		cancel()
		for range 2 {
			if err := <-results; err != nil {
				t.Errorf("Serve = %v, want nil", err)
			}
		}
	})
}

func TestShutdown_InSomebodyElsesServer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		app := drainable(quiet())
		l := newPipes()
		server := &http.Server{Handler: app}
		result := make(chan error, 1)
		server.RegisterOnShutdown(func() { result <- app.Shutdown(within(t, 5*time.Second)) })
		served := make(chan error, 1)
		go func() { served <- server.Serve(l) }()

		drained := make(chan struct{})
		openStream(t, app, func(s *fakeStream, _ error) { close(drained); s.end() }, unexpected(t, "Cut"))
		client := protocols[0].client(t, l)
		var wg sync.WaitGroup
		wg.Go(func() {
			if code, body := request(t, client, "GET", "http://x/sleep/2s"); code != 200 || body != "slept" {
				t.Errorf("request in progress = %d %q, want 200 slept", code, body)
			}
		})
		// The other server does not end this one's context, the cut does.
		wg.Go(func() {
			if code, _ := request(t, client, "GET", "http://x/sleep/1h"); code != 500 {
				t.Errorf("request that was cut = %d, want 500", code)
			}
		})
		synctest.Wait()
		if err := server.Shutdown(within(t, time.Minute)); err != nil {
			t.Errorf("Shutdown of the other server = %v, want nil", err)
		}
		<-drained
		if err := <-result; !errors.Is(err, context.DeadlineExceeded) || errors.Is(err, celeris.ErrStuckCallbacks) {
			t.Errorf("Shutdown = %v, want DeadlineExceeded and nothing stuck", err)
		}
		if err := <-served; !errors.Is(err, http.ErrServerClosed) {
			t.Errorf("Serve of the other server = %v, want ErrServerClosed", err)
		}
		wg.Wait()
	})
}

func TestShutdown_WaitsForStreamsOnRequestGoroutines(t *testing.T) {
	everywhere(t, func(t *testing.T, p protocol) {
		app := celeris.New(p.config(celeris.Config{}))
		app.GET("/stream", func(c *celeris.Context) error {
			return stream(c, func(w http.ResponseWriter, _ *http.ResponseController) {
				time.Sleep(2 * time.Second)
				io.WriteString(w, "end\n")
			})
		})
		l := newPipes()
		serve(t, app, l)
		client := p.client(t, l)
		var wg sync.WaitGroup
		wg.Go(func() {
			if _, body := request(t, client, "GET", p.url("/stream")); body != "start\nend\n" {
				t.Errorf("stream = %q, want all of it", body)
			}
		})
		synctest.Wait()
		if err := app.Shutdown(within(t, time.Minute)); err != nil {
			t.Errorf("Shutdown = %v, want nil", err)
		}
		wg.Wait()
	})
}
