package celeris

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"mime"
	"net/http"
	"strings"

	"github.com/goccy/go-json"
)

// HTTPError is an error that knows how to answer the client.
type HTTPError struct {
	// Code is the status of the response, 400 to 599. Anything else is answered as 500.
	Code int
	// Message is told to the client. Empty means the text that belongs to Code.
	Message string
	// Err is the cause. It is never told to the client, and logged with a 5xx.
	Err error
}

// NewHTTPError returns an error that is answered with this status and message.
func NewHTTPError(code int, message string) *HTTPError {
	return &HTTPError{Code: code, Message: message}
}

// Error tells all of it, the cause included: it is for logs and not for clients.
func (e *HTTPError) Error() string {
	if e == nil {
		return "<nil>"
	}
	s := fmt.Sprintf("%d %s", e.Code, e.text())
	if e.Err != nil {
		s += ": " + e.Err.Error()
	}
	return s
}

// Unwrap returns the cause.
func (e *HTTPError) Unwrap() error {
	if e == nil { // a nil pointer in an error is a mistake, but no reason to panic
		return nil
	}
	return e.Err
}

func (e *HTTPError) status() int {
	if e.Code < 400 || e.Code > 599 {
		return http.StatusInternalServerError
	}
	return e.Code
}

func (e *HTTPError) text() string {
	if e.Message != "" {
		return e.Message
	}
	if t := http.StatusText(e.status()); t != "" {
		return t
	}
	return "Error"
}

// truncatedError says that the body of a response broke off: the client must not take it for complete.
type truncatedError struct{ err error }

func (e *truncatedError) Error() string { return "celeris: response broke off: " + e.err.Error() }
func (e *truncatedError) Unwrap() error { return e.err }

// fail answers a request whose handler returned err.
func (c *Context) fail(err error) {
	gone := c.x.Request().Context().Err() != nil
	if c.Started() || gone && errors.Is(err, context.Canceled) {
		level, message := slog.LevelError, "handler failed after the response had begun"
		if gone {
			level, message = slog.LevelDebug, "client went away"
		}
		if !logged(err) {
			c.log(level, message, err)
		}
		if _, ok := errors.AsType[*truncatedError](err); ok {
			panic(http.ErrAbortHandler)
		}
		return
	}
	err = withStatus(err)
	if c.srv == nil {
		DefaultErrorHandler(c, err)
	} else {
		c.srv.cfg.ErrorHandler(c, err)
	}
	// net/http would take a handler that wrote nothing for a success.
	if c.w == c.x.Writer() && !c.Started() {
		e, _ := errors.AsType[*HTTPError](err)
		c.w.WriteHeader(e.Code)
	}
}

// withStatus returns err with an HTTPError in its chain, the first of which has a valid code.
func withStatus(err error) error {
	if e, ok := errors.AsType[*HTTPError](err); ok && e != nil {
		if e.Code == e.status() {
			return err
		}
		return &HTTPError{Code: e.status(), Message: e.Message, Err: err}
	}
	if _, ok := errors.AsType[*http.MaxBytesError](err); ok {
		return &HTTPError{Code: http.StatusRequestEntityTooLarge, Err: err}
	}
	return &HTTPError{Code: http.StatusInternalServerError, Err: err}
}

// DefaultErrorHandler answers with the status and the message of the [HTTPError] in err, or with 500: as
// JSON, {"code":404,"message":"Not Found"}, if the client's Accept header names a JSON type, else as plain
// text. Causes are never told. A 5xx is logged, unless err says that it was, by a method Logged() bool. It
// does nothing when the response has begun.
func DefaultErrorHandler(c *Context, err error) {
	if c.Started() {
		return
	}
	e, ok := errors.AsType[*HTTPError](err)
	if !ok {
		e = &HTTPError{Code: http.StatusInternalServerError, Err: err}
	}
	code := e.status()
	if code >= 500 && !logged(err) {
		c.log(slog.LevelError, "request failed", err)
	}
	h := c.w.Header()
	h.Set("X-Content-Type-Options", "nosniff")
	contentType, body := "text/plain; charset=utf-8", []byte(e.text()+"\n")
	if acceptsJSON(c.r.Header.Values("Accept")) {
		b, err := json.Marshal(struct {
			Code    int    `json:"code"`
			Message string `json:"message"`
		}{code, e.text()})
		if err == nil {
			contentType, body = "application/json", b
		}
	}
	if err := c.Blob(code, contentType, body); err != nil {
		c.log(slog.LevelDebug, "error was not delivered", err)
	}
}

func logged(err error) bool {
	l, ok := errors.AsType[interface {
		error
		Logged() bool
	}](err)
	return ok && l.Logged()
}

func (c *Context) log(level slog.Level, message string, err error) {
	c.Logger().LogAttrs(c.r.Context(), level, message,
		slog.String("method", c.r.Method),
		slog.String("path", c.r.URL.Path),
		slog.String("route", c.routeName()),
		slog.Any("error", err))
}

func acceptsJSON(accept []string) bool {
	for _, line := range accept {
		for part := range strings.SplitSeq(line, ",") {
			if isJSON(part) {
				return true
			}
		}
	}
	return false
}

// isJSON reports whether contentType is application/json or has the +json suffix (RFC 6839).
func isJSON(contentType string) bool {
	t, _, err := mime.ParseMediaType(contentType)
	return (err == nil || errors.Is(err, mime.ErrInvalidMediaParameter)) &&
		(t == "application/json" || strings.HasSuffix(t, "+json"))
}
