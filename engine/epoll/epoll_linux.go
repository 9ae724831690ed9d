package epoll

import (
	"log/slog"

	"github.com/goceleris/celeris/engine"
	"github.com/goceleris/celeris/engine/internal/native"
	"github.com/goceleris/celeris/engine/internal/shard"
	"github.com/goceleris/celeris/internal/park"
)

// New returns an engine that leaves one processor to the rest of the program, where there are two. It runs until its
// Close. The error is one of the system's, of too many open files for example.
func New(opts park.Options) (park.Engine, error) {
	return native.New(native.Config{
		Name: string(engine.Epoll), Options: opts,
		Send: func(*slog.Logger) (func([]shard.Op), func(), error) {
			return new(native.Sender).Send, func() {}, nil
		},
	})
}
