package celeris

import (
	"context"
	"log/slog"

	"github.com/goceleris/celeris/engine"
	"github.com/goceleris/celeris/engine/epoll"
	"github.com/goceleris/celeris/engine/iouring"
	"github.com/goceleris/celeris/internal/park"
)

// openEngine returns the engine of a kind, the next best if the system doesn't have it, or nil.
func openEngine(kind engine.Kind, log *slog.Logger) park.Engine {
	missing := func(kind engine.Kind, err error) {
		log.LogAttrs(context.Background(), slog.LevelWarn, "engine is not available",
			slog.String("engine", string(kind)), slog.Any("error", err))
	}
	switch kind {
	case engine.Std:
		return nil
	case engine.IOUring:
		e, err := iouring.New(park.Options{Logger: log})
		if err == nil {
			return e
		}
		missing(kind, err)
	default:
	}
	e, err := epoll.New(park.Options{Logger: log})
	if err != nil {
		missing(engine.Epoll, err)
		return nil
	}
	return e
}
