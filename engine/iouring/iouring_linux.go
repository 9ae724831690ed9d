package iouring

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
// Close. Nil options mean the defaults. The error tells why the system has no io_uring to offer: an old kernel, or one
// that forbids it.
func New(opts *Options) (engine.Engine, error) {
	if opts == nil {
		opts = &Options{}
	}
	log := opts.Logger
	if log == nil {
		log = slog.Default()
	}
	return native.New(native.Config{
		Name: string(engine.IOUring), SendBuffer: opts.SendBuffer, Logger: log,
		Send: func() (func([]shard.Op), func(), error) {
			s, err := newSender(log)
			if err != nil {
				return nil, nil, err
			}
			return s.send, s.close, nil
		},
	})
}
