package logger_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/goceleris/celeris"
	"github.com/goceleris/celeris/celeristest"
	"github.com/goceleris/celeris/middleware/logger"
	"github.com/goceleris/celeris/middleware/recovery"
	"github.com/goceleris/celeris/middleware/sse"
)

// log collects lines without their time.
type log struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *log) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(p)
}

func (l *log) logger(level slog.Level) *slog.Logger {
	return slog.New(slog.NewTextHandler(l, &slog.HandlerOptions{
		Level: level,
		ReplaceAttr: func(groups []string, a slog.Attr) slog.Attr {
			if len(groups) == 0 && a.Key == slog.TimeKey {
				return slog.Attr{}
			}
			return a
		},
	}))
}

// take returns the lines since the last call.
func (l *log) take() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	defer l.buf.Reset()
	return l.buf.String()
}

var quiet = slog.New(slog.DiscardHandler)

func TestRequests_HaveOneLineEach(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var lines log
		app := celeris.New(celeris.Config{Logger: quiet})
		app.Use(logger.New(logger.Config{
			Logger: lines.logger(slog.LevelDebug),
			Skip:   func(c *celeris.Context) bool { return c.Route() == "GET /ready" },
		}), recovery.New(recovery.Config{}))
		app.GET("/rooms/{id}", func(c *celeris.Context) error {
			time.Sleep(1500 * time.Millisecond)
			return c.String(http.StatusOK, "hello")
		})
		app.POST("/rooms/{id}", func(*celeris.Context) error { return celeris.NewHTTPError(http.StatusConflict, "taken") })
		app.GET("/fails", func(*celeris.Context) error { return errors.New("secret") })
		app.GET("/panics", func(*celeris.Context) error { panic("oh no") })
		app.GET("/breaks", func(c *celeris.Context) error {
			io.WriteString(c.Response(), "half")
			_ = http.NewResponseController(c.Response()).Flush() // or the client would try again
			panic(http.ErrAbortHandler)
		})
		app.GET("/ready", app.Ready())
		site := celeristest.Serve(t, app, nil)
		for _, row := range []struct{ method, path, want string }{
			{"GET", "/rooms/7?token=secret", `level=INFO msg=request method=GET route="GET /rooms/{id}" path=/rooms/7 status=200 bytes=5 duration=1.5s remote=`},
			{"HEAD", "/rooms/7", `level=INFO msg=request method=HEAD route="GET /rooms/{id}" path=/rooms/7 status=200 bytes=0 duration=1.5s remote=`},
			{"POST", "/rooms/7", `level=INFO msg=request method=POST route="POST /rooms/{id}" path=/rooms/7 status=409 bytes=6 duration=0s remote=`},
			{"GET", "/nowhere", `level=INFO msg=request method=GET route="(no route)" path=/nowhere status=404 bytes=10 duration=0s remote=`},
			{"GET", "/fails", `level=ERROR msg=request method=GET route="GET /fails" path=/fails status=500 bytes=22 duration=0s remote=`},
			{"GET", "/panics", `level=ERROR msg=request method=GET route="GET /panics" path=/panics status=500 bytes=22 duration=0s remote=`},
			{"GET", "/breaks", `level=INFO msg="request aborted" method=GET route="GET /breaks" path=/breaks status=200 bytes=4 duration=0s remote=`},
			{"GET", "/ready", ""},
		} {
			req, err := http.NewRequestWithContext(t.Context(), row.method, site.URL(row.path), nil)
			if err != nil {
				t.Fatal(err)
			}
			if res, err := site.Client().Do(req); err == nil {
				io.Copy(io.Discard, res.Body)
				res.Body.Close()
			}
			synctest.Wait()
			got := lines.take()
			if !strings.HasPrefix(got, row.want) || strings.Count(got, "\n") != min(1, len(row.want)) || strings.Contains(got, "remote=\n") {
				t.Errorf("%s %s: got %q\nwant one line %q and an address", row.method, row.path, got, row.want)
			}
		}
	})
}

func TestRequests_OfClientsThatLeft(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var lines log
		app := celeris.New(celeris.Config{Logger: lines.logger(slog.LevelInfo)}) // the server's logger is the default
		app.Use(logger.New(logger.Config{}))
		app.GET("/", func(c *celeris.Context) error { <-c.Context().Done(); return context.Cause(c.Context()) })
		site := celeristest.Serve(t, app, nil)
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
		defer cancel()
		req, _ := http.NewRequestWithContext(ctx, "GET", site.URL("/"), nil)
		if res, err := site.Client().Do(req); err == nil {
			res.Body.Close()
			t.Error("the request was answered")
		}
		synctest.Wait()
		_, got, _ := strings.Cut(lines.take(), "msg=\"request aborted\" ")
		const want = `method=GET route="GET /{$}" path=/ status=0 bytes=0 duration=3s remote=`
		if !strings.HasPrefix(strings.Replace(got, `"GET /"`, `"GET /{$}"`, 1), want) {
			t.Errorf("got %q, want %q", got, want)
		}
	})
}

func TestStreams_HaveALineAtTheirRealEnd(t *testing.T) {
	for name, o := range map[string]celeristest.Options{"parked": {}, "goroutines": {Goroutines: true}, "h2c": {H2C: true}} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var lines log
				broker, err := sse.NewBroker(sse.BrokerConfig{Logger: quiet})
				if err != nil {
					t.Fatal(err)
				}
				t.Cleanup(func() { broker.Close(context.Background()) })
				app := celeris.New(celeris.Config{Logger: quiet})
				app.Use(logger.New(logger.Config{Logger: lines.logger(slog.LevelDebug)}))
				app.GET("/{room}", sse.New(sse.Config{Broker: broker, HeartbeatInterval: time.Hour}))
				site := celeristest.Serve(t, app, &o)

				stream := site.Stream(t, "/a", nil)
				synctest.Wait()
				if got, want := lines.take(), `level=DEBUG msg="stream begun" method=GET route="GET /{room}" path=/a remote=`; !strings.HasPrefix(got, want) || strings.Count(got, "\n") != 1 {
					t.Errorf("when it was accepted: got %q, want %q", got, want)
				}
				time.Sleep(90 * time.Second)
				if _, err := broker.Publish(t.Context(), sse.Event{Data: "x"}); err != nil {
					t.Fatal(err)
				}
				synctest.Wait()
				size := len(stream.Raw())
				stream.Close()
				synctest.Wait()
				if size != len("retry: 3000\nid: xxxxxxxx-0\n\nid: xxxxxxxx-1\ndata: x\n\n") {
					t.Errorf("the stream had %d bytes", size)
				}
				const want = `level=INFO msg="stream ended" method=GET route="GET /{room}" path=/a bytes=52 duration=1m30s remote=`
				got := lines.take()
				if !strings.HasPrefix(got, want) || !strings.Contains(got, ` reason=peer_gone error="`) || strings.Count(got, "\n") != 1 {
					t.Errorf("got %q, want %q", got, want)
				}

				site.Stream(t, "/b", nil)
				for c := range broker.Clients("") {
					c.Close()
				}
				synctest.Wait()
				if got := lines.take(); !strings.HasSuffix(got, " reason=finished\n") || strings.Count(got, "\n") != 2 {
					t.Errorf("of a stream that was finished: got %q", got)
				}
			})
		})
	}
}

func TestStreams_ThatStayWithTheirMiddleware(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var lines log
		app := celeris.New(celeris.Config{Logger: quiet})
		app.Use(logger.New(logger.Config{Logger: lines.logger(slog.LevelDebug)}), shout)
		begun := make(chan struct{})
		app.GET("/", sse.New(sse.Config{Handler: func(*sse.Client) { <-begun }}))
		site := celeristest.Serve(t, app, nil)
		site.Stream(t, "/", nil)
		synctest.Wait()
		if got := lines.take(); !strings.Contains(got, "stream begun") || strings.Count(got, "\n") != 1 {
			t.Errorf("while it runs: got %q", got)
		}
		close(begun)
		synctest.Wait()
		if got := lines.take(); !strings.Contains(got, "stream ended") || strings.Count(got, "\n") != 1 {
			t.Errorf("at its end: got %q", got)
		}
	})
}

// shout is a middleware that changes what is written, so that it stays in the way of streams.
func shout(next celeris.HandlerFunc) celeris.HandlerFunc {
	return func(c *celeris.Context) error {
		c.SetResponse(shouting{c.Response()})
		return next(c)
	}
}

type shouting struct{ http.ResponseWriter }

func (w shouting) Unwrap() http.ResponseWriter { return w.ResponseWriter }
func (w shouting) Write(p []byte) (int, error) {
	return w.ResponseWriter.Write(bytes.ToUpper(p))
}

func TestLogger_OutsideAServer(t *testing.T) {
	var lines log
	h := logger.New(logger.Config{Logger: lines.logger(slog.LevelInfo)})(func(c *celeris.Context) error { return c.NoContent(204) })
	h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "/x", nil))
	if got := lines.take(); !strings.Contains(got, `route="(no route)" path=/x status=204`) {
		t.Errorf("got %q", got)
	}
}
