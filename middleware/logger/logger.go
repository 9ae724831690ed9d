// Package logger writes a line for each request, and one for each end of a stream.
//
// # Usage
//
//	app.Use(logger.New(logger.Config{}))
//
// It stands outermost, so that what other middleware answers is logged too.
//
// # Lines
//
// A request has one, "request", when its response is complete: method, route, path, status, bytes, duration and remote,
// always all of them. Status and bytes are those that were sent, errors rendered and bodies compressed; the duration
// begins with this middleware. Level is Info, and Error for a status from 500 on. A request that got no complete
// response, because the client left before it began or because a panic broke it off, is "request aborted", with a status
// of 0 if none was sent.
//
// A stream is not a request that takes long. It has a line "stream begun" at level Debug, with method, route, path and
// remote, and when it has really ended, long after its handler has returned, "stream ended" at level Info with bytes,
// duration and reason besides: one of the words of [engine.EndKind]; the key error follows unless it finished in the
// ordinary way.
//
// A route is a pattern, "GET /rooms/{id}", or "(no route)". The query of a URL is never logged: tokens travel in it.
package logger

import (
	"cmp"
	"context"
	"log/slog"
	"net/http"
	"time"

	"github.com/goceleris/celeris"
	"github.com/goceleris/celeris/internal/exchange"
)

// Config says what is logged. The zero Config logs everything to the server's logger.
type Config struct {
	// Logger receives the lines. Nil means the logger of the server.
	Logger *slog.Logger
	// Skip says of which requests and streams nothing is logged: probes, say. It runs before they are handled, by many
	// goroutines at once. Nil means none.
	Skip func(*celeris.Context) bool
}

// New returns the middleware.
func New(cfg Config) celeris.Middleware {
	return func(next celeris.HandlerFunc) celeris.HandlerFunc {
		return func(c *celeris.Context) error {
			x := exchange.From(c.Context())
			if x == nil || cfg.Skip != nil && cfg.Skip(c) {
				return next(c)
			}
			r := c.Request()
			ctx, ok := x.Origin(r.Context())
			if !ok {
				ctx = context.WithoutCancel(r.Context()) // that the request is over is no reason not to log it
			}
			l := &line{
				logger: cmp.Or(cfg.Logger, c.Logger()), ctx: ctx, born: time.Now(), remote: r.RemoteAddr,
				method: r.Method, route: cmp.Or(c.Route(), "(no route)"), path: r.URL.Path,
			}
			x.OnUnwound(l.request)
			x.OnStreamStart(func() {
				l.write(slog.LevelDebug, "stream begun", l.from())
				x.OnStreamEnd(l.stream)
			})
			return next(c)
		}
	}
}

// line is what the lines of one request have in common. It lives as long as a stream, so it keeps no request.
type line struct {
	logger                      *slog.Logger
	ctx                         context.Context // for the values that the logger's handler may want
	born                        time.Time
	method, route, path, remote string
}

func (l *line) request(o exchange.Outcome) {
	if o.Stream {
		return
	}
	level, message := slog.LevelInfo, "request"
	if o.Status >= http.StatusInternalServerError {
		level = slog.LevelError
	}
	if o.Aborted {
		message = "request aborted"
	}
	l.write(level, message, slog.Int("status", o.Status), slog.Int64("bytes", o.Bytes),
		slog.Duration("duration", time.Since(l.born)), l.from())
}

func (l *line) stream(end celeris.StreamEnd) {
	attrs := []slog.Attr{
		slog.Int64("bytes", end.Bytes), slog.Duration("duration", end.Duration), l.from(), slog.String("reason", string(end.Kind())),
	}
	if end.Reason != nil {
		attrs = append(attrs, slog.Any("error", end.Reason))
	}
	l.write(slog.LevelInfo, "stream ended", attrs...)
}

func (l *line) from() slog.Attr { return slog.String("remote", l.remote) }

func (l *line) write(level slog.Level, message string, more ...slog.Attr) {
	attrs := append(make([]slog.Attr, 0, 8), slog.String("method", l.method), slog.String("route", l.route), slog.String("path", l.path))
	l.logger.LogAttrs(l.ctx, level, message, append(attrs, more...)...)
}
