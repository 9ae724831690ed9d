package sse

import (
	"log/slog"
	"time"

	"github.com/goceleris/celeris/engine"
	"github.com/goceleris/celeris/internal/fanout"
)

// logEvery is how often a line is written that a crowd of clients could cause.
const logEvery = 10 * time.Second

// evicted logs that a policy took a subscriber's topics or its stream.
func (b *Broker) evicted(o fanout.Owner, verdict fanout.Verdict, lag fanout.Lag) {
	swallowed, ok := b.evictions.Allow(time.Now())
	if !ok {
		return
	}
	policy := "remove"
	if verdict == fanout.Close {
		policy = "close"
	}
	c := (*Client)(o.(*owner))
	r := c.Request()
	b.cfg.Logger.LogAttrs(c.Context(), slog.LevelWarn, "slow subscriber evicted", slog.String("policy", policy),
		slog.String("remote", r.RemoteAddr), slog.String("path", r.URL.Path),
		slog.Int("events", lag.Frames), slog.Int("bytes", lag.Bytes), slog.Int("swallowed", swallowed))
}

// logStall logs the end of a stream that stalled. A shard must not wait for a log, so that a server's line is written by
// a goroutine of its own, at most one in each interval; the server's shutdown waits for it.
func (v *visit) logStall(end engine.End) {
	if end.Kind() != engine.EndStalled {
		return
	}
	swallowed, ok := v.cfg.stalls.Allow(time.Now())
	if !ok {
		return
	}
	r := v.Request()
	write := func() {
		v.cfg.Logger.LogAttrs(v.Context(), slog.LevelWarn, "stream stalled",
			slog.String("remote", r.RemoteAddr), slog.String("route", r.Pattern), slog.String("path", r.URL.Path),
			slog.Int64("bytes", end.Bytes), slog.Duration("duration", end.Duration), slog.Int("swallowed", swallowed))
	}
	if v.host == nil {
		write()
		return
	}
	v.host.Call(r.Pattern, write)
}
