package celeristest_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/cookiejar"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/goceleris/celeris"
	"github.com/goceleris/celeris/celeristest"
	"github.com/goceleris/celeris/middleware/sse"
)

func TestClient_PostsAndReadsTheAnswer(t *testing.T) {
	inBubbles(t, func(t *testing.T, o celeristest.Options) {
		app := quiet()
		app.POST("/echo", func(c *celeris.Context) error {
			b, err := io.ReadAll(c.Request().Body)
			if err != nil {
				return err
			}
			return c.String(http.StatusCreated, c.Request().Proto+" "+c.Query("q")+" "+string(b))
		})
		site := celeristest.Serve(t, app, &o)
		for _, path := range []string{"/echo?q=1", "echo?q=1"} {
			res, err := site.Client().Post(site.URL(path), "text/plain", strings.NewReader("hello"))
			if err != nil {
				t.Fatal(err)
			}
			b, _ := io.ReadAll(res.Body)
			res.Body.Close()
			want := "HTTP/1.1 1 hello"
			if o.H2C {
				want = "HTTP/2.0 1 hello"
			}
			if res.StatusCode != http.StatusCreated || string(b) != want {
				t.Errorf("%s: %s %q, want 201 %q", path, res.Status, b, want)
			}
		}
	})
}

func TestClient_LeavesNothingBehindForAnOpenBody(t *testing.T) {
	inBubbles(t, func(t *testing.T, o celeristest.Options) {
		gone := make(chan struct{})
		failures := try(t, func(t testing.TB) {
			site := celeristest.Serve(t, text("data: a\n\n", gone), &o)
			res, err := site.Client().Get(site.URL("/"))
			if err != nil {
				t.Fatal(err)
			}
			if _, err := io.ReadFull(res.Body, make([]byte, 9)); err != nil {
				t.Error(err)
			}
		})
		if len(failures) != 0 { // and the bubble sees goroutines that are left
			t.Errorf("failures %q", failures)
		}
	})
}

func TestClient_EndsWithItsContext(t *testing.T) {
	inBubbles(t, func(t *testing.T, o celeristest.Options) {
		site := celeristest.Serve(t, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }), &o)
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		r, err := http.NewRequestWithContext(ctx, "GET", site.URL("/"), nil)
		if err != nil {
			t.Fatal(err)
		}
		_, err = site.Client().Do(r)
		is(t, "a request", err, context.DeadlineExceeded)
	})
}

func TestClient_SharesItsJarWithStreams(t *testing.T) {
	inBubbles(t, func(t *testing.T, o celeristest.Options) {
		app := quiet()
		app.POST("/login", func(c *celeris.Context) error {
			http.SetCookie(c.Response(), &http.Cookie{Name: "user", Value: "ada", Path: "/"})
			return c.NoContent(http.StatusNoContent)
		})
		app.GET("/events", sse.New(sse.Config{Handler: func(c *sse.Client) {
			user, err := c.Request().Cookie("user")
			_ = c.Send(sse.Event{Data: fmt.Sprint(user, err)})
		}}))
		site := celeristest.Serve(t, app, &o)
		site.Client().Jar, _ = cookiejar.New(nil)
		res, err := site.Client().Post(site.URL("/login"), "", nil)
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
		if e, err := site.Stream(t, "/events", nil).Next(); err != nil || e.Data != "user=ada <nil>" {
			t.Errorf("event %+v, %v", e, err)
		}
	})
}

func TestDial_OpensABareConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		site := celeristest.Serve(t, text("data: a\n\n", nil), nil)
		conn, err := site.Dial(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		held := conn.(interface {
			Hold()
			Release()
			Reset()
			CloseWrite() error
		})
		held.Hold()
		fmt.Fprint(conn, "GET / HTTP/1.0\r\n\r\n")
		got := make(chan string, 1)
		go func() {
			b, _ := io.ReadAll(conn)
			got <- string(b)
		}()
		time.Sleep(time.Hour)
		if synctest.Wait(); len(got) != 0 {
			t.Errorf("a held connection has read %q", <-got)
		}
		held.Release()
		if s := <-got; !strings.HasPrefix(s, "HTTP/1.0 200 OK\r\n") || !strings.HasSuffix(s, "\r\n\r\ndata: a\n\n") {
			t.Errorf("got %q", s)
		}
	})
}

func TestDial_EndsWithTheTest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		begin := time.Now()
		var conn net.Conn
		if failures := try(t, func(t testing.TB) {
			var err error
			if conn, err = celeristest.Serve(t, text("", nil), nil).Dial(t.Context()); err != nil {
				t.Fatal(err)
			}
		}); len(failures) != 0 {
			t.Errorf("failures %q", failures)
		}
		_, err := conn.Read(make([]byte, 1))
		is(t, "a connection that was left open", err, net.ErrClosed)
		if took := time.Since(begin); took > time.Second {
			t.Errorf("the end took %v: the server waited for the connection", took)
		}
	})
}

func TestShutdown_EndsHijackedRequests(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ended := make(chan time.Time, 1)
		site := celeristest.Serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			conn, _, err := w.(http.Hijacker).Hijack()
			if err != nil {
				t.Error(err)
				return
			}
			defer conn.Close()
			<-r.Context().Done()
			ended <- time.Now()
		}), nil)
		conn, err := site.Dial(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprint(conn, "GET /socket HTTP/1.1\r\nHost: celeris.test\r\n\r\n")
		synctest.Wait()
		begin := time.Now()
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		err = site.Shutdown(ctx)
		is(t, "shutdown", err, context.DeadlineExceeded)
		if err == nil || !strings.Contains(err.Error(), `cut requests in progress: "GET /socket" (1)`) {
			t.Errorf("error %v, want one that names the request", err)
		}
		if took := (<-ended).Sub(begin); took != time.Minute {
			t.Errorf("its context ended after %v, want a minute", took)
		}
	})
}

func TestShutdown_ReturnsWhatTheServerHasToSay(t *testing.T) {
	inBubbles(t, func(t *testing.T, o celeristest.Options) {
		release := make(chan struct{})
		hang := func(r *http.Request) {
			<-r.Context().Done()
			<-release
		}
		app := quiet()
		app.GET("/hang", func(c *celeris.Context) error { hang(c.Request()); return nil })
		for name, h := range map[string]http.Handler{
			"celeris":  app,
			"net/http": http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { hang(r) }),
		} {
			if failures := try(t, func(t testing.TB) {
				site := celeristest.Serve(t, h, &o)
				go site.Client().Get(site.URL("/hang"))
				synctest.Wait()
				begin := time.Now()
				ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
				defer cancel()
				err := site.Shutdown(ctx)
				is(t, name, err, context.DeadlineExceeded)
				if err == nil || !strings.Contains(err.Error(), "/hang") {
					t.Errorf("%s: error %v, want one that names the route", name, err)
				}
				if took := time.Since(begin); took < time.Minute || took > time.Minute+time.Second {
					t.Errorf("%s: it took %v, want a minute", name, took)
				}
				if _, err := site.Dial(t.Context()); !errors.Is(err, net.ErrClosed) {
					t.Errorf("%s: Dial after Shutdown: %v, want %v", name, err, net.ErrClosed)
				}
			}); len(failures) != 0 {
				t.Errorf("%s: failures %q; what Shutdown has returned is not reported again", name, failures)
			}
		}
		close(release)
	})
}

func TestShutdown_CutsForeignHandlersAtTheDeadline(t *testing.T) {
	inBubbles(t, func(t *testing.T, o celeristest.Options) {
		site := celeristest.Serve(t, text("data: a\n\n", make(chan struct{})), &o)
		stream := site.Stream(t, "/events", nil)
		begin := time.Now()
		err := site.Shutdown(t.Context())
		is(t, "shutdown", err, context.DeadlineExceeded)
		if err == nil || !strings.Contains(err.Error(), `cut requests in progress: "GET /events" (1)`) {
			t.Errorf("error %v, want one that names the request", err)
		}
		if took := time.Since(begin); took < 10*time.Second || took > 11*time.Second {
			t.Errorf("it took %v, want ten seconds", took)
		}
		if e, err := stream.Next(); err != nil || e.Data != "a" {
			t.Errorf("event %+v, %v", e, err)
		}
		if e, err := stream.Next(); err == nil {
			t.Errorf("event %+v, want an error", e)
		}
	})
}

func TestShutdown_EndsWritesThatWait(t *testing.T) {
	inBubbles(t, func(t *testing.T, o celeristest.Options) {
		var failed error
		h := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			text("", nil)(w, r)
			out := http.NewResponseController(w)
			failed = out.Flush()
			for failed == nil { // and don't look at the context
				fmt.Fprint(w, ":"+strings.Repeat("x", 1000)+"\n")
				failed = out.Flush()
				time.Sleep(time.Millisecond)
			}
		})
		site := celeristest.Serve(t, h, &o)
		site.Stream(t, "/", nil).Hold()
		time.Sleep(time.Second)
		err := site.Shutdown(t.Context())
		if synctest.Wait(); failed == nil || err == nil || !strings.Contains(err.Error(), "cut requests in progress") {
			t.Errorf("shutdown: %v, the handler's write: %v; want both to be cut", err, failed)
		}
	})
}

func TestServe_ReportsWhatIsLeft(t *testing.T) {
	inBubbles(t, func(t *testing.T, o celeristest.Options) {
		release := make(chan struct{})
		stuck := func(c *sse.Client) { <-release }
		app := quiet()
		app.GET("/events", sse.New(sse.Config{Handler: stuck}))
		for name, h := range map[string]http.Handler{
			"celeris": app,
			"net/http": http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				text("data: a\n\n", nil)(w, r)
				w.(http.Flusher).Flush()
				<-release
			}),
		} {
			failures := try(t, func(t testing.TB) { celeristest.Serve(t, h, &o).Stream(t, "/events", nil) })
			if len(failures) == 0 {
				t.Fatalf("%s: nothing was reported", name)
			}
			wantFailure(t, failures, `"GET /events" (1)`, "still run")
		}
		close(release)
	})
}

func TestServe_SaysWhatIsWrong(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		wantFailure(t, try(t, func(t testing.TB) { celeristest.Serve(t, nil, nil) }), "nil http.Handler")
		wantFailure(t, try(t, func(t testing.TB) {
			celeristest.Serve(t, quiet(), &celeristest.Options{Buffer: -1})
		}), "Options.Buffer is -1", "zero means 65536")
		app := quiet()
		if err := app.Shutdown(t.Context()); err != nil {
			t.Error(err)
		}
		wantFailure(t, try(t, func(t testing.TB) {
			celeristest.Serve(t, app, nil).Stream(t, "/", nil)
		}), "the server is shut down")
	})
}

func TestServe_WorksOutsideOfBubbles(t *testing.T) {
	for _, o := range []celeristest.Options{{}, {Goroutines: true}, {H2C: true}} {
		app := quiet()
		broker, err := sse.NewBroker(sse.BrokerConfig{})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = broker.Close(context.Background()) })
		app.GET("/", sse.New(sse.Config{Broker: broker, RetryInterval: time.Millisecond}))
		stream := celeristest.Serve(t, app, &o).Stream(t, "/", nil)
		for i := range 3 {
			if _, err := broker.Publish(t.Context(), sse.Event{Data: "x"}); err != nil {
				t.Fatal(err)
			}
			if e, err := stream.Next(); err != nil || e.Data != "x" {
				t.Errorf("event %+v, %v", e, err)
			}
			stream.Reset()
			if err := stream.Resume(); err != nil {
				t.Fatalf("resume %d: %v", i, err)
			}
		}
	}
}
