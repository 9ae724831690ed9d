package celeris_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/goceleris/celeris"
	"github.com/goceleris/celeris/internal/exchange"
)

func TestContext_ReadsTheRequest(t *testing.T) {
	app := celeris.New(quiet())
	app.GET("/rooms/{id}", func(c *celeris.Context) error {
		cookie, err := c.Cookie("session")
		if err != nil {
			t.Errorf("Cookie: %v", err)
		} else if cookie.Value != "abc" {
			t.Errorf("Cookie = %q, want abc", cookie.Value)
		}
		if _, err := c.Cookie("other"); !errors.Is(err, http.ErrNoCookie) {
			t.Errorf("Cookie of nothing: %v, want ErrNoCookie", err)
		}
		for _, tt := range []struct{ name, got, want string }{
			{"Param", c.Param("id"), "7"},
			{"Param of nothing", c.Param("x"), ""},
			{"Query", c.Query("a"), "1 2"},
			{"Query of nothing", c.Query("b"), ""},
			{"Header", c.Header("x-one"), "1"},
			{"Route", c.Route(), "GET /rooms/{id}"},
		} {
			if tt.got != tt.want {
				t.Errorf("%s = %q, want %q", tt.name, tt.got, tt.want)
			}
		}
		r := c.Request().Clone(c.Context())
		r.URL.RawQuery = "a=3"
		c.SetRequest(r)
		if got := c.Query("a"); got != "3" {
			t.Errorf("Query after SetRequest = %q, want 3", got)
		}
		if got := c.Param("id"); got != "7" {
			t.Errorf("Param after SetRequest = %q, want 7", got)
		}
		return c.NoContent(http.StatusNoContent)
	})
	w := record(app, "GET", "/rooms/7?a=1+2&a=9", "", "X-One", "1", "Cookie", "session=abc")
	if w.Code != http.StatusNoContent || w.Body.Len() != 0 {
		t.Errorf("response = %d %q, want 204 without a body", w.Code, w.Body)
	}
}

func TestContext_KeepsValues(t *testing.T) {
	h := celeris.HandlerFunc(func(c *celeris.Context) error {
		if v, ok := c.Get("n"); ok {
			t.Errorf("Get of nothing = %v", v)
		}
		var wg sync.WaitGroup
		for i := range 10 {
			wg.Go(func() { c.Set("n", i); c.Get("n") })
		}
		wg.Wait()
		c.Set("nil", nil)
		if v, ok := c.Get("nil"); v != nil || !ok {
			t.Errorf("Get of a nil value = %v, %v, want nil, true", v, ok)
		}
		if _, ok := c.Get("n"); !ok {
			t.Error("Get after Set found nothing")
		}
		return nil
	})
	record(h, "GET", "/", "")
}

func TestContext_Answers(t *testing.T) {
	file := filepath.Join(t.TempDir(), "a.txt")
	if err := os.WriteFile(file, []byte("0123456789"), 0o600); err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name string
		h    celeris.HandlerFunc
		code int
		head map[string]string
		body string
	}{
		{"JSON", func(c *celeris.Context) error { return c.JSON(201, map[string]int{"n": 1}) }, 201,
			map[string]string{"Content-Type": "application/json", "Content-Length": "7"}, `{"n":1}`},
		{"String", func(c *celeris.Context) error { return c.String(200, "<ü>") }, 200,
			map[string]string{"Content-Type": "text/plain; charset=utf-8", "Content-Length": "4"}, "<ü>"},
		{"HTML", func(c *celeris.Context) error { return c.HTML(200, "<p>") }, 200,
			map[string]string{"Content-Type": "text/html; charset=utf-8"}, "<p>"},
		{"Blob", func(c *celeris.Context) error { return c.Blob(202, "image/png", []byte{1, 2}) }, 202,
			map[string]string{"Content-Type": "image/png", "Content-Length": "2"}, "\x01\x02"},
		{"NoContent", func(c *celeris.Context) error { return c.NoContent(202) }, 202,
			map[string]string{"Content-Length": ""}, ""},
		{"Redirect", func(c *celeris.Context) error { return c.Redirect(303, "../x?y=1") }, 303,
			map[string]string{"Location": "/a/x?y=1"}, ""},
		{"Redirect with a wrong status", func(c *celeris.Context) error { return c.Redirect(200, "/") }, 500,
			map[string]string{"Location": ""}, "Internal Server Error\n"},
		{"Stream", func(c *celeris.Context) error { return c.Stream(200, "text/csv", strings.NewReader("a,b")) }, 200,
			map[string]string{"Content-Type": "text/csv"}, "a,b"},
		{"SetCookie", func(c *celeris.Context) error {
			if err := c.SetCookie(&http.Cookie{Name: "a", Value: "b"}); err != nil {
				return err
			}
			return c.NoContent(200)
		}, 200, map[string]string{"Set-Cookie": "a=b"}, ""},
		{"SetCookie of an invalid one", func(c *celeris.Context) error { return c.SetCookie(&http.Cookie{Name: "a b"}) }, 500,
			map[string]string{"Set-Cookie": ""}, "Internal Server Error\n"},
		{"File", func(c *celeris.Context) error { return c.File(file) }, 206,
			map[string]string{"Content-Range": "bytes 2-4/10"}, "234"},
		{"File that is missing", func(c *celeris.Context) error { return c.File(file + "x") }, 404, nil, "Not Found\n"},
		{"File that is a directory", func(c *celeris.Context) error { return c.File(filepath.Dir(file)) }, 404, nil, "Not Found\n"},
		{"JSON that can't be encoded", func(c *celeris.Context) error { return c.JSON(200, func() {}) }, 500,
			map[string]string{"Content-Type": "text/plain; charset=utf-8"}, "Internal Server Error\n"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			app := celeris.New(quiet())
			app.GET("/a/b/c", tt.h)
			w := record(app, "GET", "/a/b/c", "", "Range", "bytes=2-4")
			if w.Code != tt.code || tt.code != 303 && w.Body.String() != tt.body {
				t.Errorf("response = %d %q, want %d %q", w.Code, w.Body, tt.code, tt.body)
			}
			for k, want := range tt.head {
				if got := w.Header().Get(k); got != want {
					t.Errorf("%s = %q, want %q", k, got, want)
				}
			}
		})
	}
}

// meter notes what had been written at each flush.
type meter struct {
	httptest.ResponseRecorder
	flushed []string
}

func (m *meter) FlushError() error {
	m.flushed = append(m.flushed, m.Body.String())
	return nil
}

func TestContext_StreamFlushesWhenTheReaderHasNoMore(t *testing.T) {
	w := &meter{ResponseRecorder: *httptest.NewRecorder()}
	big := strings.Repeat("x", 32<<10)
	parts := io.MultiReader(strings.NewReader("a"), strings.NewReader(big), strings.NewReader("b"))
	celeris.HandlerFunc(func(c *celeris.Context) error {
		return c.Stream(200, "text/plain", parts)
	}).ServeHTTP(w, httptest.NewRequest("GET", "/", nil))
	if len(w.flushed) != 2 || w.flushed[0] != "a" || w.flushed[1] != "a"+big+"b" {
		t.Errorf("flushed %d times, want twice: after the first and the last part", len(w.flushed))
	}
}

type failingReader struct{ err error }

func (r failingReader) Read(p []byte) (int, error) { return copy(p, "part"), r.err }

func TestContext_StreamBreaksOffWhenTheReaderFails(t *testing.T) {
	var l logs
	app := celeris.New(celeris.Config{Logger: l.logger()})
	app.GET("/x", func(c *celeris.Context) error {
		return c.Stream(200, "text/plain", failingReader{errors.New("disk on fire")})
	})
	ts := httptest.NewServer(app)
	defer ts.Close()
	res, err := ts.Client().Get(ts.URL + "/x")
	if err == nil {
		defer res.Body.Close()
		_, err = io.ReadAll(res.Body)
	}
	if err == nil {
		t.Error("the client took a truncated body for complete")
	}
	if !strings.Contains(l.String(), "disk on fire") {
		t.Errorf("log = %q, want the cause in it", l.String())
	}
}

func TestContext_Bind(t *testing.T) {
	type message struct {
		Text string `json:"text"`
	}
	const good = `{"text":"hi"}`
	tests := []struct {
		name, contentType, body string
		code                    int
	}{
		{"good", "application/json", good, 200},
		{"charset", "Application/JSON; charset=utf-8", good, 200},
		{"suffix", "application/merge-patch+json", good, 200},
		{"space around", "application/json", " \n" + good + "\r\n ", 200},
		{"unknown field", "application/json", `{"text":"hi","more":1}`, 200},
		{"no type", "", good, 415},
		{"other type", "text/plain", good, 415},
		{"form", "application/x-www-form-urlencoded", "text=hi", 415},
		{"empty", "application/json", "", 400},
		{"only space", "application/json", " ", 400},
		{"malformed", "application/json", `{"text":"hi"`, 400},
		{"trailing data", "application/json", good + "x", 400},
		{"two values", "application/json", good + good, 400},
		{"two lines", "application/json", good + "\n" + good, 400},
		{"trailing brace", "application/json", good + "}", 400},
		{"wrong kind", "application/json", `{"text":1}`, 400},
		{"just fits", "application/json", `{"text":"` + strings.Repeat("x", 89) + `"}`, 200},
		{"too large", "application/json", `{"text":"` + strings.Repeat("x", 90) + `"}`, 413},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			app := celeris.New(celeris.Config{MaxBody: 100, Logger: quiet().Logger})
			app.POST("/", func(c *celeris.Context) error {
				var m message
				if err := c.Bind(&m); err != nil {
					return err
				}
				if m.Text == "" {
					t.Error("Bind decoded nothing")
				}
				return c.NoContent(200)
			})
			w := record(app, "POST", "/", tt.body, "Content-Type", tt.contentType)
			if w.Code != tt.code {
				t.Errorf("status = %d %q, want %d", w.Code, w.Body, tt.code)
			}
		})
	}
}

func TestContext_BindIntoNoPointerIsTheServersMistake(t *testing.T) {
	app := celeris.New(quiet())
	app.POST("/", func(c *celeris.Context) error { return c.Bind(struct{}{}) })
	if w := record(app, "POST", "/", "{}", "Content-Type", "application/json"); w.Code != 500 {
		t.Errorf("status = %d, want 500", w.Code)
	}
}

func TestContext_BindIsBoundedOutsideAServer(t *testing.T) {
	h := celeris.HandlerFunc(func(c *celeris.Context) error {
		var s string
		return c.Bind(&s)
	})
	if w := record(h, "POST", "/", `"`+strings.Repeat("x", 4<<20)+`"`, "Content-Type", "application/json"); w.Code != 413 {
		t.Errorf("status = %d, want 413", w.Code)
	}
}

func TestContext_KnowsWhetherTheResponseHasStarted(t *testing.T) {
	tests := []struct {
		name  string
		write func(*celeris.Context)
		want  bool
	}{
		{"nothing", func(c *celeris.Context) { c.Response().Header().Set("A", "b") }, false},
		{"interim", func(c *celeris.Context) { c.Response().WriteHeader(http.StatusEarlyHints) }, false},
		{"status", func(c *celeris.Context) { c.Response().WriteHeader(200) }, true},
		{"body", func(c *celeris.Context) { io.WriteString(c.Response(), "x") }, true},
		{"flush", func(c *celeris.Context) { http.NewResponseController(c.Response()).Flush() }, true},
		{"own method", func(c *celeris.Context) { c.NoContent(200) }, true},
	}
	for _, tt := range tests {
		record(celeris.HandlerFunc(func(c *celeris.Context) error {
			tt.write(c)
			if got := c.Started(); got != tt.want {
				t.Errorf("Started() after %s = %v, want %v", tt.name, got, tt.want)
			}
			return nil
		}), "GET", "/", "")
	}
}

func TestContext_OnStreamEndIsHeardOfInside(t *testing.T) {
	app := celeris.New(quiet())
	var heard []string
	app.Use(func(next celeris.HandlerFunc) celeris.HandlerFunc {
		return func(c *celeris.Context) error {
			c.OnStreamEnd(func(end celeris.StreamEnd) { heard = append(heard, fmt.Sprint("outside ", end.Bytes)) })
			return next(c)
		}
	}, celeris.FromHTTPMiddleware(func(next http.Handler) http.Handler { return next }))
	app.GET("/", func(c *celeris.Context) error {
		c.OnStreamEnd(func(end celeris.StreamEnd) { heard = append(heard, fmt.Sprint("inside ", end.Bytes)) })
		for _, f := range exchange.From(c.Context()).Ends() {
			f(celeris.StreamEnd{Bytes: 7})
		}
		return nil
	})
	record(app, "GET", "/", "")
	if want := []string{"outside 7", "inside 7"}; !slices.Equal(heard, want) {
		t.Errorf("heard %q, want %q", heard, want)
	}
}

func TestContext_RefusesNil(t *testing.T) {
	record(celeris.HandlerFunc(func(c *celeris.Context) error {
		mustPanic(t, func() { c.SetRequest(nil) })
		mustPanic(t, func() { c.SetResponse(nil) })
		return nil
	}), "GET", "/", "")
}

func TestContext_EndsWithItsRequest(t *testing.T) {
	type key struct{}
	app := celeris.New(quiet())
	var kept context.Context
	app.GET("/", func(c *celeris.Context) error {
		kept = c.Context()
		if got := kept.Value(key{}); got != "v" {
			t.Errorf("Value = %v, want v", got)
		}
		return kept.Err()
	})
	r := httptest.NewRequest("GET", "/", nil)
	w := httptest.NewRecorder()
	app.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), key{}, "v")))
	if w.Code != 200 || kept.Err() == nil {
		t.Errorf("status = %d and context error %v after the request, want 200 and an error", w.Code, kept.Err())
	}
}
