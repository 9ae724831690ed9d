package iouring

import (
	"log/slog"

	"github.com/goceleris/celeris/engine"
	"github.com/goceleris/celeris/engine/internal/native"
	"github.com/goceleris/celeris/engine/internal/shard"
	"github.com/goceleris/celeris/internal/park"
)

// New returns an engine that leaves one processor to the rest of the program, where there are two. It runs until its
// Close. The error tells why the system has no io_uring to offer: an old kernel, or one
// that forbids it.
func New(opts park.Options) (park.Engine, error) {
	return native.New(native.Config{
		Name: string(engine.IOUring), Options: opts,
		Send: func(log *slog.Logger) (func([]shard.Op), func(), error) {
			s, err := newSender(log)
			if err != nil {
				return nil, nil, err
			}
			return s.send, s.close, nil
		},
	})
}
