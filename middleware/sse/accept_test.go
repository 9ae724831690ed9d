package sse_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/goceleris/celeris"
	"github.com/goceleris/celeris/middleware/sse"
)

func TestStream_HeadersComeBeforeAnyEvent(t *testing.T) {
	inBubbles(t, func(t *testing.T, w way) {
		b := newBroker(t, sse.BrokerConfig{})
		tab := stream(t, w, sse.Config{Broker: b}).visit() // returns with the response's head
		for name, want := range map[string]string{
			"Content-Type": "text/event-stream", "Cache-Control": "no-store", "X-Accel-Buffering": "no", "Content-Length": "",
		} {
			if got := tab.res.Header.Get(name); got != want {
				t.Errorf("%s: %q, want %q", name, got, want)
			}
		}
		if _, err := time.Parse(http.TimeFormat, tab.res.Header.Get("Date")); err != nil {
			t.Errorf("Date: %v", err)
		}
		if w.major == 1 && (len(tab.res.TransferEncoding) != 0 || !tab.res.Close) {
			t.Errorf("coding %q, close %v; want a body that ends with the connection", tab.res.TransferEncoding, tab.res.Close)
		}
		equal(t, "opening", tab.all(), "retry: 3000|id: E-0")
		publish(t, b, "a")
		equal(t, "stream", tab.all(), "id: E-1|data: a")
	})
}

func TestStream_OpensWithItsPosition(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBroker(t, sse.BrokerConfig{})
		s := stream(t, h1, sse.Config{Broker: b, RetryInterval: 1500 * time.Millisecond, Topics: on("mine")})
		publish(t, b, "x", "other")
		publish(t, b, "y", "mine")
		equal(t, "opening", s.visit().all(), "retry: 1500|id: E-2")
	})
	synctest.Test(t, func(t *testing.T) {
		s := stream(t, h1, sse.Config{Handler: func(c *sse.Client) { <-c.Context().Done() }})
		equal(t, "opening without a broker", s.visit().all(), "retry: 3000")
	})
}

func TestAccept_Decides406(t *testing.T) {
	h := sse.New(tame(sse.Config{Handler: func(*sse.Client) {}}))
	for _, tt := range []struct {
		accept string // "-" for none
		want   int
	}{
		{"-", 200},
		{"", 406},
		{"text/event-stream", 200},
		{"Text/Event-Stream", 200},
		{"text/*", 200},
		{"*/*", 200},
		{"text/html", 406},
		{"application/json, text/html;q=0.9", 406},
		{"application/json, */*;q=0.1", 200},
		{"text/event-stream;q=0", 406},
		{"text/event-stream;q=0, */*", 406},
		{"text/*;q=0, */*", 406},
		{"text/event-stream;q=0.5, text/*;q=0", 200},
		{"text/event-stream;q=abc", 406},
		{"text/event-stream;q=2", 406},
		{"text/event-stream; charset=utf-8", 200},
	} {
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		if tt.accept != "-" {
			r.Header.Set("Accept", tt.accept)
		}
		rec := httptest.NewRecorder()
		h.ServeHTTP(rec, r)
		if rec.Code != tt.want {
			t.Errorf("Accept %q: status %d, want %d", tt.accept, rec.Code, tt.want)
		}
	}
}

func TestAccept_HeadAnswersWithHeadersOnly(t *testing.T) {
	inBubbles(t, func(t *testing.T, w way) {
		visited := false
		s := stream(t, w, sse.Config{Handler: func(*sse.Client) { visited = true }})
		res, body := s.status(http.MethodHead, "/")
		if res.StatusCode != 200 || res.Header.Get("Content-Type") != "text/event-stream" || body != "" || visited {
			t.Errorf("HEAD: %d %q, body %q, handler ran: %v", res.StatusCode, res.Header.Get("Content-Type"), body, visited)
		}
	})
}

// deaf is a writer that can't flush.
type deaf struct{ h http.ResponseWriter }

func (d deaf) Header() http.Header         { return d.h.Header() }
func (d deaf) Write(p []byte) (int, error) { return d.h.Write(p) }
func (d deaf) WriteHeader(status int)      { d.h.WriteHeader(status) }

func TestAccept_WriterThatCannotFlushIs500(t *testing.T) {
	var said error
	app := celeris.New(celeris.Config{Logger: quiet, ErrorHandler: func(c *celeris.Context, err error) {
		said = err
		celeris.DefaultErrorHandler(c, err)
	}})
	app.Use(celeris.FromHTTPMiddleware(func(next http.Handler) http.Handler {
		return http.TimeoutHandler(next, time.Minute, "late")
	}))
	app.GET("/", sse.New(tame(sse.Config{Handler: func(*sse.Client) { t.Error("the handler ran") }})))
	rec := httptest.NewRecorder()
	app.ServeHTTP(rec, httptest.NewRequest(http.MethodGet, "/", nil))
	if rec.Code != 500 || said == nil || !strings.Contains(said.Error(), "timeoutWriter") {
		t.Errorf("http.TimeoutHandler: status %d, error %v; want 500, and the writer's type named", rec.Code, said)
	}

	rec = httptest.NewRecorder()
	app.ServeHTTP(deaf{rec}, httptest.NewRequest(http.MethodGet, "/", nil))
	if rec.Code != 500 {
		t.Errorf("foreign writer: status %d, want 500", rec.Code)
	}
}

func TestAccept_TopicsDecide(t *testing.T) {
	b := newBroker(t, sse.BrokerConfig{MaxTopics: 1})
	many := make([]string, 1001)
	for i := range many {
		many[i] = strconv.Itoa(i)
	}
	for _, tt := range []struct {
		name   string
		topics func(*celeris.Context) ([]string, error)
		want   int
	}{
		{"HTTP error", func(*celeris.Context) ([]string, error) { return nil, celeris.NewHTTPError(403, "not yours") }, 403},
		{"other error", func(*celeris.Context) ([]string, error) { return nil, errors.New("lookup failed") }, 500},
		{"more topics than the broker may have", on("a", "b"), 503},
		{"more topics than a client may have", on(many...), 503},
	} {
		rec := httptest.NewRecorder()
		app := celeris.New(celeris.Config{Logger: quiet})
		app.GET("/", sse.New(tame(sse.Config{Broker: b, Topics: tt.topics})))
		app.ServeHTTP(rec, httptest.NewRequest(http.MethodGet, "/", nil))
		if rec.Code != tt.want {
			t.Errorf("%s: status %d, want %d", tt.name, rec.Code, tt.want)
		}
	}
	if s := b.Stats(); s.Subscribers != 0 {
		t.Errorf("%d subscribers are left of requests that were turned away", s.Subscribers)
	}
}

func TestAccept_TopicsThatPanicLeaveNothing(t *testing.T) {
	b := newBroker(t, sse.BrokerConfig{})
	h := sse.New(tame(sse.Config{Broker: b, Topics: func(*celeris.Context) ([]string, error) { panic("topics") }}))
	func() {
		defer func() {
			if recover() != "topics" {
				t.Error("the panic did not reach the server's recovery")
			}
		}()
		h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, "/", nil))
	}()
	if s := b.Stats(); s.Subscribers != 0 {
		t.Errorf("%d subscribers are left", s.Subscribers)
	}
}

func TestStream_IsTurnedAwayWhileDraining(t *testing.T) {
	for _, tt := range []struct {
		name   string
		method string
		header []string
		want   int
	}{
		{"browser", "GET", []string{"Sec-Fetch-Mode", "cors", "Accept", "text/event-stream"}, 200},
		{"browser with POST", "POST", []string{"Sec-Fetch-Mode", "cors", "Accept", "text/event-stream"}, 503},
		{"other client", "GET", []string{"Accept", "text/event-stream"}, 503},
		{"page", "GET", []string{"Sec-Fetch-Mode", "navigate", "Accept", "*/*"}, 503},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b := newBroker(t, sse.BrokerConfig{})
			h := sse.New(sse.Config{Broker: b, RetryInterval: 2 * time.Second, RetryJitter: time.Second, Logger: quiet})
			ask := func(what string, handler http.Handler) {
				t.Helper()
				r := httptest.NewRequest(tt.method, "/", nil)
				for i := 0; i < len(tt.header); i += 2 {
					r.Header.Set(tt.header[i], tt.header[i+1])
				}
				rec := httptest.NewRecorder()
				handler.ServeHTTP(rec, r)
				if rec.Code != tt.want || rec.Header().Get("Cache-Control") != "no-store" {
					t.Fatalf("%s: status %d, cache %q, want %d, no-store", what, rec.Code, rec.Header().Get("Cache-Control"), tt.want)
				}
				if tt.want == 503 {
					if got := rec.Header().Get("Retry-After"); got != "2" && got != "3" {
						t.Errorf("%s: Retry-After %q, want 2 or 3", what, got)
					}
					return
				}
				retry, ok := strings.CutPrefix(strings.TrimSuffix(rec.Body.String(), "\n\n"), "retry: ")
				if ms, err := strconv.Atoi(retry); !ok || err != nil || ms < 2000 || ms >= 3000 {
					t.Errorf("%s: body %q, want a retry of 2000 to 2999", what, rec.Body)
				}
			}
			app := celeris.New(celeris.Config{Logger: quiet})
			app.GET("/", h)
			app.POST("/", h)
			if err := app.Shutdown(t.Context()); err != nil {
				t.Fatal(err)
			}
			ask("server", app)
			if err := b.Close(t.Context()); err != nil {
				t.Fatal(err)
			}
			ask("broker", h)
		})
	}
}

func TestStream_ServesPlainNetHTTP(t *testing.T) {
	b := newBroker(t, sse.BrokerConfig{})
	ts := httptest.NewServer(sse.New(tame(sse.Config{Broker: b})))
	defer ts.Close()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, ts.URL, nil)
	if err != nil {
		t.Fatal(err)
	}
	res, err := ts.Client().Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	publish(t, b, "a")
	for e, err := range sse.Read(res.Body) {
		if err != nil || e.Data != "a" {
			t.Errorf("event %+v, %v", e, err)
		}
		break
	}
}

func TestStream_ContextWithoutValuesIsAnError(t *testing.T) {
	h := sse.New(tame(sse.Config{Handler: func(*sse.Client) {}}))
	app := celeris.New(celeris.Config{Logger: quiet})
	app.GET("/", func(c *celeris.Context) error {
		c.SetRequest(c.Request().WithContext(context.Background()))
		return h(c)
	})
	rec := httptest.NewRecorder()
	app.ServeHTTP(rec, httptest.NewRequest(http.MethodGet, "/", nil))
	if body, _ := io.ReadAll(rec.Body); rec.Code != 500 {
		t.Errorf("status %d, body %q; want 500", rec.Code, body)
	}
}
