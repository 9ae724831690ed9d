//go:build !linux

package celeris

import (
	"context"
	"log/slog"
	"runtime"

	"github.com/goceleris/celeris/engine"
	"github.com/goceleris/celeris/internal/park"
)

// openEngine returns nil: there are native engines for Linux only.
func openEngine(kind engine.Kind, log *slog.Logger) park.Engine {
	if kind != engine.Std && kind != engine.Auto {
		log.LogAttrs(context.Background(), slog.LevelWarn, "engine is not available",
			slog.String("engine", string(kind)), slog.String("system", runtime.GOOS))
	}
	return nil
}
