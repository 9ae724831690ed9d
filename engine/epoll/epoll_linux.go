package epoll

import (
	"log/slog"

	"github.com/goceleris/celeris/engine"
	"github.com/goceleris/celeris/engine/internal/native"
	"github.com/goceleris/celeris/engine/internal/shard"
)

// Options are the choices of [New]. The zero value works.
type Options struct {
	// SendBuffer is how many bytes the kernel may keep for one connection, SO_SNDBUF. Zero means 64 KiB.
	SendBuffer int
	// Logger gets what goes wrong. Nil means [slog.Default].
	Logger *slog.Logger
}

// New returns an engine that leaves one processor to the rest of the program, where there are two. It runs until its
// Close. Nil options mean the defaults. The error is one of the system's, of too many open files for example.
func New(opts *Options) (engine.Engine, error) {
	if opts == nil {
		opts = &Options{}
	}
	return native.New(native.Config{
		Name: string(engine.Epoll), SendBuffer: opts.SendBuffer, Logger: opts.Logger,
		Send: func() (func([]shard.Op), func(), error) {
			return new(native.Sender).Send, func() {}, nil
		},
	})
}
