// Package recovery turns panics of handlers into errors.
//
// # Usage
//
//	app.Use(recovery.New(recovery.Config{}))
//
// It stands inside the middleware that wants to see the error, such as a logger, and outside whatever may
// panic.
//
// # What happens to the response
//
// If nothing of the response was written, the client gets a 500 through the server's error handler. If the
// response had begun, it is broken off, so that the client can't take it for complete. [http.ErrAbortHandler]
// is not recovered: it is how a handler asks for just that.
//
// Without this middleware a panic in a handler ends its request and not the process: net/http logs it and
// closes the connection.
//
// # Goroutines
//
// Only the goroutine of the request is covered. One that a handler starts ends the process when it panics,
// unless it recovers itself.
package recovery

import (
	"cmp"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"runtime"

	"github.com/goceleris/celeris"
)

const defaultMaxStack = 16 << 10

// Config says how panics are reported. The zero Config logs to the server's logger.
type Config struct {
	// Logger receives one record with the stack for each panic. Nil means the logger of the server.
	Logger *slog.Logger
	// MaxStack is how many bytes of the stack are kept, from the panic outwards. Zero means 16 KiB.
	MaxStack int
}

// PanicError is a panic that was recovered. It is the cause of the [celeris.HTTPError] that the middleware
// returns.
type PanicError struct {
	// Value is what the code panicked with.
	Value any
	// Stack is the stack of the goroutine, cut to [Config.MaxStack] bytes.
	Stack []byte
}

// Error tells the value and not the stack.
func (e *PanicError) Error() string { return fmt.Sprintf("recovery: panic: %v", e.Value) }

// Unwrap returns the value if it is an error.
func (e *PanicError) Unwrap() error {
	err, _ := e.Value.(error)
	return err
}

// Logged is true: an error handler has no reason to log the panic a second time.
func (e *PanicError) Logged() bool { return true }

// New returns the middleware. It panics if cfg.MaxStack is negative.
func New(cfg Config) celeris.Middleware {
	if cfg.MaxStack < 0 {
		panic(fmt.Sprintf("recovery: Config.MaxStack is negative (%d): leave it zero for the default, or give a positive value", cfg.MaxStack))
	}
	if cfg.MaxStack == 0 {
		cfg.MaxStack = defaultMaxStack
	}
	return func(next celeris.HandlerFunc) celeris.HandlerFunc {
		return func(c *celeris.Context) (err error) {
			defer func() {
				v := recover()
				if v == nil {
					return
				}
				if err, ok := v.(error); ok && errors.Is(err, http.ErrAbortHandler) {
					panic(v)
				}
				err = cfg.recovered(c, v)
			}()
			return next(c)
		}
	}
}

func (cfg Config) recovered(c *celeris.Context, v any) error {
	stack := make([]byte, cfg.MaxStack)
	stack = stack[:runtime.Stack(stack, false)]
	logger := cfg.Logger
	if logger == nil {
		logger = c.Logger()
	}
	r := c.Request()
	logger.LogAttrs(r.Context(), slog.LevelError, "handler panicked",
		slog.String("method", r.Method),
		slog.String("path", r.URL.Path),
		slog.String("route", cmp.Or(c.Route(), "(no route)")),
		slog.Any("panic", v),
		slog.String("stack", string(stack)))
	if c.Started() {
		panic(http.ErrAbortHandler)
	}
	return &celeris.HTTPError{
		Code: http.StatusInternalServerError,
		Err:  &PanicError{Value: v, Stack: stack},
	}
}
