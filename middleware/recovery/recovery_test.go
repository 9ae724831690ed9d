package recovery_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"log"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/goceleris/celeris"
	"github.com/goceleris/celeris/middleware/recovery"
)

func get(h http.Handler) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest("GET", "/x", nil))
	return w
}

// panicking returns a server whose one route panics with v.
func panicking(cfg celeris.Config, rc recovery.Config, v any) *celeris.Server {
	app := celeris.New(cfg)
	app.Use(recovery.New(rc))
	app.GET("/x", func(*celeris.Context) error { panic(v) })
	return app
}

func TestRecovery_AnswersAndLogsOnce(t *testing.T) {
	var server, own bytes.Buffer
	cause := errors.New("secret cause")
	for _, v := range []any{"secret text", cause, 7} {
		server.Reset()
		own.Reset()
		cfg := celeris.Config{Logger: slog.New(slog.NewTextHandler(&server, nil))}
		w := get(panicking(cfg, recovery.Config{Logger: slog.New(slog.NewTextHandler(&own, nil))}, v))
		if w.Code != 500 || w.Body.String() != "Internal Server Error\n" {
			t.Errorf("panic(%v): response = %d %q, want a plain 500", v, w.Code, w.Body)
		}
		if server.Len() > 0 {
			t.Errorf("panic(%v): the server logged it again: %s", v, &server)
		}
		for _, want := range []string{"level=ERROR", fmt.Sprint(v), "recovery_test.go", `route="GET /x"`, "path=/x"} {
			if !strings.Contains(own.String(), want) {
				t.Errorf("panic(%v): log = %s, want %q in it", v, &own, want)
			}
		}
		if n := strings.Count(own.String(), "\n"); n != 1 {
			t.Errorf("panic(%v): %d records, want 1", v, n)
		}
	}
}

func TestRecovery_LogsToTheServersLogger(t *testing.T) {
	var server bytes.Buffer
	get(panicking(celeris.Config{Logger: slog.New(slog.NewTextHandler(&server, nil))}, recovery.Config{}, "oh no"))
	if n := strings.Count(server.String(), "oh no"); n == 0 || strings.Count(server.String(), "\n") != 1 {
		t.Errorf("log = %s, want one record", &server)
	}
}

func TestRecovery_BoundsTheStack(t *testing.T) {
	for given, want := range map[int]struct{ from, to int }{100: {100, 100}, 0: {1000, 16 << 10}} {
		var got *recovery.PanicError
		cfg := celeris.Config{Logger: slog.New(slog.DiscardHandler), ErrorHandler: func(c *celeris.Context, err error) {
			got, _ = errors.AsType[*recovery.PanicError](err)
			c.NoContent(500)
		}}
		app := celeris.New(cfg)
		app.Use(recovery.New(recovery.Config{MaxStack: given}))
		var deep func(n int)
		deep = func(n int) {
			if n == 0 {
				panic("deep")
			}
			deep(n - 1)
		}
		app.GET("/x", func(*celeris.Context) error { deep(1000); return nil })
		get(app)
		if got == nil || got.Value != "deep" || len(got.Stack) < want.from || len(got.Stack) > want.to {
			t.Errorf("MaxStack %d: error = %v, want one with %d to %d bytes of stack", given, got, want.from, want.to)
		}
	}
}

func TestRecovery_KeepsTheCauseInTheChain(t *testing.T) {
	cause := errors.New("cause")
	var got error
	app := celeris.New(celeris.Config{Logger: slog.New(slog.DiscardHandler)})
	app.Use(func(next celeris.HandlerFunc) celeris.HandlerFunc {
		return func(c *celeris.Context) error {
			got = next(c)
			return got
		}
	}, recovery.New(recovery.Config{}))
	app.GET("/x", func(*celeris.Context) error { panic(cause) })
	get(app)
	if !errors.Is(got, cause) {
		t.Errorf("error outside = %v, want %v in its chain", got, cause)
	}
}

func TestRecovery_LetsAbortsPass(t *testing.T) {
	defer func() {
		if v := recover(); v != http.ErrAbortHandler {
			t.Errorf("recovered %v, want ErrAbortHandler", v)
		}
	}()
	get(panicking(celeris.Config{}, recovery.Config{}, http.ErrAbortHandler))
	t.Error("no panic")
}

func TestRecovery_BreaksOffAResponseThatHasBegun(t *testing.T) {
	var own bytes.Buffer
	app := celeris.New(celeris.Config{Logger: slog.New(slog.DiscardHandler)})
	app.Use(recovery.New(recovery.Config{Logger: slog.New(slog.NewTextHandler(&own, nil))}))
	app.GET("/x", func(c *celeris.Context) error {
		io.WriteString(c.Response(), "half of ")
		http.NewResponseController(c.Response()).Flush()
		panic("oh no")
	})
	ts := httptest.NewUnstartedServer(app)
	ts.Config.ErrorLog = log.New(&own, "", 0)
	ts.Start()
	res, err := ts.Client().Get(ts.URL + "/x")
	if err != nil {
		t.Fatal(err)
	}
	b, err := io.ReadAll(res.Body)
	res.Body.Close()
	ts.Close()
	if err == nil || string(b) != "half of " {
		t.Errorf("body = %q, %v, want its beginning and an error", b, err)
	}
	if strings.Count(own.String(), "oh no") == 0 || strings.Count(own.String(), "\n") != 1 {
		t.Errorf("log = %s, want one record", &own)
	}
}

func TestNew_RefusesANegativeBound(t *testing.T) {
	defer func() {
		if v, _ := recover().(string); !strings.Contains(v, "MaxStack is negative (-1)") {
			t.Errorf("panic = %q, want the field and its value", v)
		}
	}()
	recovery.New(recovery.Config{MaxStack: -1})
}

func ExampleNew() {
	app := celeris.New(celeris.Config{Logger: slog.New(slog.DiscardHandler)})
	app.Use(recovery.New(recovery.Config{}))
	app.GET("/x", func(*celeris.Context) error {
		panic("a mistake")
	})
	w := httptest.NewRecorder()
	app.ServeHTTP(w, httptest.NewRequest("GET", "/x", nil))
	fmt.Print(w.Code, " ", w.Body)
	// Output: 500 Internal Server Error
}
