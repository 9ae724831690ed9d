package celeris_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/goceleris/celeris"
)

// statusWriter notes the status, as loggers do.
type statusWriter struct {
	http.ResponseWriter
	status int
}

func (w *statusWriter) WriteHeader(status int) {
	w.status = status
	w.ResponseWriter.WriteHeader(status)
}

func (w *statusWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

type userKey struct{}

// observe is a net/http middleware that replaces both the writer and the request.
func observe(status *int) func(http.Handler) http.Handler {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			sw := &statusWriter{ResponseWriter: w}
			next.ServeHTTP(sw, r.WithContext(context.WithValue(r.Context(), userKey{}, "ada")))
			*status = sw.status
		})
	}
}

func TestFromHTTPMiddleware_SeesTheStatusOfErrors(t *testing.T) {
	var status int
	app := celeris.New(quiet())
	app.Use(celeris.FromHTTPMiddleware(observe(&status)))
	app.GET("/ok", says("ok"))
	app.GET("/teapot", fails(celeris.NewHTTPError(418, "tea")))
	app.GET("/broken", fails(errors.New("x")))
	for path, want := range map[string]int{"/ok": 200, "/teapot": 418, "/broken": 500, "/missing": 404} {
		if w := record(app, "GET", path, ""); status != want || w.Code != want {
			t.Errorf("%s: the middleware saw %d and the client %d, want %d", path, status, w.Code, want)
		}
	}
	if record(app, "POST", "/ok", ""); status != 405 {
		t.Errorf("the middleware saw %d for a method that is not allowed, want 405", status)
	}
}

func TestFromHTTPMiddleware_RendersThroughTheServersErrorHandler(t *testing.T) {
	cfg := quiet()
	cfg.ErrorHandler = func(c *celeris.Context, err error) {
		if _, ok := c.Response().(*statusWriter); !ok {
			t.Errorf("error handler writes to %T, want the middleware's writer", c.Response())
		}
		c.String(400, "custom")
	}
	var status int
	var outside error
	app := celeris.New(cfg)
	app.Use(func(next celeris.HandlerFunc) celeris.HandlerFunc {
		return func(c *celeris.Context) error {
			outside = next(c)
			return outside
		}
	})
	app.GET("/", fails(errors.New("x")), celeris.FromHTTPMiddleware(observe(&status)))
	if w := record(app, "GET", "/", ""); w.Body.String() != "custom" || status != 400 || outside != nil {
		t.Errorf("body = %q, status = %d, error outside = %v; want custom, 400 and none", w.Body, status, outside)
	}
}

func TestFromHTTPMiddleware_HandsOnItsWriterAndRequest(t *testing.T) {
	var status int
	app := celeris.New(quiet())
	app.Use(func(next celeris.HandlerFunc) celeris.HandlerFunc {
		return func(c *celeris.Context) error {
			w, r := c.Response(), c.Request()
			c.Set("outside", 1)
			err := next(c)
			if c.Response() != w || c.Request() != r {
				t.Error("the middleware's writer or request leaked out of it")
			}
			if v, _ := c.Get("inside"); v != 2 {
				t.Errorf("value set inside = %v, want 2", v)
			}
			return err
		}
	}, celeris.FromHTTPMiddleware(observe(&status)))
	app.GET("/rooms/{id}", func(c *celeris.Context) error {
		if _, ok := c.Response().(*statusWriter); !ok {
			t.Errorf("Response() is a %T, want the middleware's writer", c.Response())
		}
		if got := c.Context().Value(userKey{}); got != "ada" {
			t.Errorf("value in the context = %v, want ada", got)
		}
		if v, _ := c.Get("outside"); v != 1 {
			t.Errorf("value set outside = %v, want 1", v)
		}
		c.Set("inside", 2)
		if got := c.Route(); got != "GET /rooms/{id}" {
			t.Errorf("Route() = %q", got)
		}
		return c.String(201, c.Param("id"))
	}, celeris.FromHTTPMiddleware(func(next http.Handler) http.Handler { return next }))
	if w := record(app, "GET", "/rooms/7", ""); w.Code != 201 || w.Body.String() != "7" || status != 201 {
		t.Errorf("response = %d %q, status seen %d, want 201 7", w.Code, w.Body, status)
	}
}

func TestFromHTTPMiddleware_MayAnswerItself(t *testing.T) {
	app := celeris.New(quiet())
	app.GET("/", says("secret"), celeris.FromHTTPMiddleware(func(http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(401) })
	}))
	if w := record(app, "GET", "/", ""); w.Code != 401 || w.Body.Len() > 0 {
		t.Errorf("response = %d %q, want 401 and nothing", w.Code, w.Body)
	}
}

// zip is a compressor as simple as they come.
func zip(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		z := gzip.NewWriter(w)
		defer z.Close()
		w.Header().Set("Content-Encoding", "gzip")
		next.ServeHTTP(zipWriter{w, z}, r)
	})
}

type zipWriter struct {
	http.ResponseWriter
	io.Writer
}

func (w zipWriter) Write(p []byte) (int, error) { return w.Writer.Write(p) }

func TestFromHTTPMiddleware_CompressesErrorPages(t *testing.T) {
	app := celeris.New(quiet())
	app.Use(celeris.FromHTTPMiddleware(zip))
	w := record(app, "GET", "/missing", "")
	z, err := gzip.NewReader(bytes.NewReader(w.Body.Bytes()))
	if err != nil {
		t.Fatalf("body %q is not compressed: %v", w.Body, err)
	}
	b, err := io.ReadAll(z)
	if err != nil || string(b) != "Not Found\n" || w.Code != 404 {
		t.Errorf("response = %d %q, %v, want 404 Not Found", w.Code, b, err)
	}
	if got := w.Header().Get("Content-Length"); got != "" {
		t.Errorf("Content-Length = %q, want none on a body that is compressed", got)
	}
}

func TestFromHTTPMiddleware_SurvivesATimeoutHandler(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		app := celeris.New(quiet())
		app.Use(celeris.FromHTTPMiddleware(func(next http.Handler) http.Handler {
			return http.TimeoutHandler(next, time.Second, "too slow")
		}))
		app.GET("/fast", func(c *celeris.Context) error { return celeris.NewHTTPError(409, "taken") })
		app.GET("/half", func(c *celeris.Context) error {
			c.String(200, "half")
			return errors.New("x")
		})
		late := make(chan error, 1)
		app.GET("/slow", func(c *celeris.Context) error {
			<-c.Context().Done()
			c.Set("late", true)
			time.Sleep(time.Second) // the handler outlives its request
			late <- c.String(200, "late")
			return c.Context().Err()
		})
		for _, tt := range []struct {
			path string
			code int
			body string
		}{{"/fast", 409, "taken\n"}, {"/half", 200, "half"}, {"/slow", 503, "too slow"}} {
			if w := record(app, "GET", tt.path, ""); w.Code != tt.code || w.Body.String() != tt.body {
				t.Errorf("%s = %d %q, want %d %q", tt.path, w.Code, w.Body, tt.code, tt.body)
			}
		}
		if err := <-late; !errors.Is(err, http.ErrHandlerTimeout) {
			t.Errorf("late write: %v, want %v", err, http.ErrHandlerTimeout)
		}
	})
}

func TestFromHTTPMiddleware_AnswersWhenTheContextIsLost(t *testing.T) {
	var l logs
	defer slog.SetDefault(slog.Default())
	slog.SetDefault(l.logger())
	app := celeris.New(quiet())
	app.Use(celeris.FromHTTPMiddleware(func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			next.ServeHTTP(w, r.WithContext(context.Background()))
		})
	}))
	app.GET("/", says("hi"))
	if w := record(app, "GET", "/", ""); w.Code != 500 || !strings.Contains(l.String(), "replaced the request's context") {
		t.Errorf("status = %d, log = %q, want 500 and the reason", w.Code, l.String())
	}
}

func TestFromHTTP_AndBack(t *testing.T) {
	app := celeris.New(quiet())
	app.GET("/std/{id}", celeris.FromHTTP(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(202)
		io.WriteString(w, r.PathValue("id"))
	})))
	app.Mount("/ours/", celeris.HandlerFunc(func(c *celeris.Context) error {
		return celeris.NewHTTPError(403, "not you")
	}))
	if w := record(app, "GET", "/std/7", ""); w.Code != 202 || w.Body.String() != "7" {
		t.Errorf("/std/7 = %d %q, want 202 7", w.Code, w.Body)
	}
	if w := record(app, "GET", "/ours/x", ""); w.Code != 403 || w.Body.String() != "not you\n" {
		t.Errorf("/ours/x = %d %q, want 403", w.Code, w.Body)
	}
	mux := http.NewServeMux()
	mux.Handle("GET /m/{id}", celeris.HandlerFunc(func(c *celeris.Context) error { return c.String(200, c.Param("id")) }))
	if w := record(mux, "GET", "/m/7", ""); w.Body.String() != "7" {
		t.Errorf("body on a ServeMux = %q, want 7", w.Body)
	}
}

func TestAdapters_RefuseNil(t *testing.T) {
	mustPanic(t, func() { celeris.FromHTTP(nil) })
	mustPanic(t, func() { celeris.FromHTTPMiddleware(nil) })
	got := mustPanic(t, func() {
		celeris.New(quiet()).GET("/x", says(""), celeris.FromHTTPMiddleware(func(http.Handler) http.Handler { return nil }))
	})
	if !strings.Contains(got, "nil http.Handler") {
		t.Errorf("panic = %q, want the reason", got)
	}
}

func TestContext_SetResponseIsSeenInside(t *testing.T) {
	app := celeris.New(quiet())
	var seen int
	app.Use(func(next celeris.HandlerFunc) celeris.HandlerFunc {
		return func(c *celeris.Context) error {
			w := &statusWriter{ResponseWriter: c.Response()}
			c.SetResponse(w)
			defer c.SetResponse(w.ResponseWriter)
			err := next(c)
			seen = w.status
			return err
		}
	})
	app.GET("/", says("x"))
	w := httptest.NewRecorder()
	app.ServeHTTP(w, httptest.NewRequest("GET", "/", nil))
	if seen != 200 || w.Body.String() != "x" {
		t.Errorf("status seen = %d, body = %q, want 200 and x", seen, w.Body)
	}
}
