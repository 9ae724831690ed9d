package celeris_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/goceleris/celeris"
)

// fails returns a handler that returns err.
func fails(err error) celeris.HandlerFunc { return func(*celeris.Context) error { return err } }

func TestHTTPError_TellsAllOfIt(t *testing.T) {
	cause := errors.New("no such room")
	for _, tt := range []struct {
		err  *celeris.HTTPError
		want string
	}{
		{celeris.NewHTTPError(404, ""), "404 Not Found"},
		{celeris.NewHTTPError(409, "taken"), "409 taken"},
		{&celeris.HTTPError{Code: 404, Err: cause}, "404 Not Found: no such room"},
		{&celeris.HTTPError{Code: 599}, "599 Error"},
	} {
		if got := tt.err.Error(); got != tt.want {
			t.Errorf("Error() = %q, want %q", got, tt.want)
		}
	}
	if err := error(&celeris.HTTPError{Code: 404, Err: cause}); !errors.Is(err, cause) {
		t.Error("the cause is not in the chain")
	}
}

func TestDefaultErrorHandler(t *testing.T) {
	secret := errors.New("password is 123")
	tests := []struct {
		name   string
		err    error
		accept string
		code   int
		body   string
		logged bool
	}{
		{"plain error", secret, "", 500, "Internal Server Error\n", true},
		{"message", celeris.NewHTTPError(409, "taken"), "", 409, "taken\n", false},
		{"wrapped", fmt.Errorf("room: %w", celeris.NewHTTPError(409, "taken")), "", 409, "taken\n", false},
		{"message of a 5xx", &celeris.HTTPError{Code: 503, Message: "later", Err: secret}, "", 503, "later\n", true},
		{"cause of a 4xx", &celeris.HTTPError{Code: 400, Err: secret}, "", 400, "Bad Request\n", false},
		{"no status", &celeris.HTTPError{Message: "odd"}, "", 500, "odd\n", true},
		{"success", &celeris.HTTPError{Code: 200, Message: "odd"}, "", 500, "odd\n", true},
		{"too large", fmt.Errorf("read: %w", &http.MaxBytesError{Limit: 1}), "", 413, "Request Entity Too Large\n", false},
		{"canceled by the server", context.Canceled, "", 500, "Internal Server Error\n", true},
		{"JSON", celeris.NewHTTPError(404, `"x"`), "application/json", 404, `{"code":404,"message":"\"x\""}`, false},
		{"JSON among others", celeris.NewHTTPError(404, ""), "text/html, application/problem+json;q=0.9", 404, `{"code":404,"message":"Not Found"}`, false},
		{"browser", celeris.NewHTTPError(404, "<b>"), "text/html,application/xml;q=0.9,*/*;q=0.8", 404, "<b>\n", false},
		{"anything", celeris.NewHTTPError(404, ""), "*/*", 404, "Not Found\n", false},
		{"malformed", celeris.NewHTTPError(404, ""), "/,;;", 404, "Not Found\n", false},
		{"secret as JSON", secret, "application/json", 500, `{"code":500,"message":"Internal Server Error"}`, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var l logs
			app := celeris.New(celeris.Config{Logger: l.logger()})
			app.GET("/x", func(c *celeris.Context) error {
				c.Response().Header().Set("Content-Length", "1000")
				return tt.err
			})
			w := record(app, "GET", "/x", "", "Accept", tt.accept)
			if w.Code != tt.code || w.Body.String() != tt.body {
				t.Errorf("response = %d %q, want %d %q", w.Code, w.Body, tt.code, tt.body)
			}
			if got, want := w.Header().Get("Content-Length"), fmt.Sprint(len(tt.body)); got != want {
				t.Errorf("Content-Length = %q, want %q", got, want)
			}
			wantType := "text/plain; charset=utf-8"
			if strings.HasPrefix(tt.body, "{") {
				wantType = "application/json"
			}
			if got := w.Header().Get("Content-Type"); got != wantType {
				t.Errorf("Content-Type = %q, want %q", got, wantType)
			}
			if got := strings.Contains(l.String(), "level=ERROR") && strings.Contains(l.String(), `route="GET /x"`); got != tt.logged {
				t.Errorf("logged = %v, want %v: %q", got, tt.logged, l.String())
			}
		})
	}
}

type alreadyLogged struct{ error }

func (alreadyLogged) Logged() bool { return true }

func TestDefaultErrorHandler_DoesNotLogTwice(t *testing.T) {
	var l logs
	app := celeris.New(celeris.Config{Logger: l.logger()})
	app.GET("/", fails(fmt.Errorf("wrapped: %w", alreadyLogged{errors.New("x")})))
	if w := record(app, "GET", "/", ""); w.Code != 500 || l.String() != "" {
		t.Errorf("status = %d, log = %q, want 500 and nothing", w.Code, l.String())
	}
}

func TestServer_WritesNothingAfterTheResponseHasBegun(t *testing.T) {
	var l logs
	called := false
	app := celeris.New(celeris.Config{
		Logger:       l.logger(),
		ErrorHandler: func(*celeris.Context, error) { called = true },
	})
	app.GET("/", func(c *celeris.Context) error {
		if err := c.String(200, "all is well"); err != nil {
			return err
		}
		return celeris.NewHTTPError(500, "or not")
	})
	w := record(app, "GET", "/", "")
	if w.Code != 200 || w.Body.String() != "all is well" || called {
		t.Errorf("response = %d %q, error handler called %v; want the first response only", w.Code, w.Body, called)
	}
	if !strings.Contains(l.String(), "or not") || !strings.Contains(l.String(), "level=ERROR") {
		t.Errorf("log = %q, want the error", l.String())
	}
}

func TestServer_UsesItsErrorHandler(t *testing.T) {
	var got error
	cfg := quiet()
	cfg.ErrorHandler = func(c *celeris.Context, err error) {
		got = err
		e, ok := errors.AsType[*celeris.HTTPError](err)
		if !ok {
			t.Errorf("error handler got %v, without an HTTPError", err)
			return
		}
		c.String(e.Code, "custom")
	}
	app := celeris.New(cfg)
	cause := errors.New("cause")
	app.GET("/x", fails(cause))
	app.GET("/odd", fails(&celeris.HTTPError{Code: 42}))
	app.POST("/large", func(c *celeris.Context) error {
		_, err := io.ReadAll(c.Request().Body)
		return err
	}).MaxBody(3)
	for _, tt := range []struct {
		method, path string
		code         int
	}{{"GET", "/x", 500}, {"GET", "/odd", 500}, {"GET", "/missing", 404}, {"PUT", "/x", 405}, {"POST", "/large", 413}} {
		got = nil
		w := record(app, tt.method, tt.path, "four")
		if w.Code != tt.code || w.Body.String() != "custom" {
			t.Errorf("%s %s = %d %q, want %d and the handler's text", tt.method, tt.path, w.Code, w.Body, tt.code)
		}
		if tt.path == "/x" && tt.method == "GET" && !errors.Is(got, cause) {
			t.Errorf("error handler got %v, want %v in its chain", got, cause)
		}
	}
}

func TestServer_AnswersForAnErrorHandlerThatDoesNot(t *testing.T) {
	cfg := quiet()
	cfg.ErrorHandler = func(*celeris.Context, error) {}
	if w := record(celeris.New(cfg), "GET", "/missing", ""); w.Code != 404 {
		t.Errorf("status = %d, want 404", w.Code)
	}
}

func TestServer_TakesACanceledRequestForNoError(t *testing.T) {
	var l logs
	app := celeris.New(celeris.Config{Logger: l.logger()})
	ctx, cancel := context.WithCancel(context.Background())
	app.GET("/", func(c *celeris.Context) error {
		cancel()
		<-c.Context().Done()
		return fmt.Errorf("query: %w", c.Context().Err())
	})
	w := httptest.NewRecorder()
	app.ServeHTTP(w, httptest.NewRequest("GET", "/", nil).WithContext(ctx))
	if strings.Contains(l.String(), "ERROR") || !strings.Contains(l.String(), "client went away") || w.Body.Len() > 0 {
		t.Errorf("log = %q, body = %q, want a debug record and nothing written", l.String(), w.Body)
	}
}

func TestHandlerFunc_RendersItsErrors(t *testing.T) {
	if w := record(fails(celeris.NewHTTPError(418, "tea")), "GET", "/", ""); w.Code != 418 || w.Body.String() != "tea\n" {
		t.Errorf("response = %d %q, want 418 tea", w.Code, w.Body)
	}
}

// A typed nil is a mistake of the handler, which must not become a panic.
func TestError_TypedNilIsA500(t *testing.T) {
	app := celeris.New(quiet())
	app.GET("/", func(*celeris.Context) error {
		var e *celeris.HTTPError
		return fmt.Errorf("wrapped: %w", error(e))
	})
	if w := record(app, "GET", "/", ""); w.Code != http.StatusInternalServerError {
		t.Errorf("status %d, want 500", w.Code)
	}
}
