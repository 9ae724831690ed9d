package fanout

import (
	"context"
	"log/slog"
	"runtime/debug"
	"sync"
	"sync/atomic"
)

// callbacks runs user code off the delivery path: a bounded number of goroutines, panics contained.
type callbacks struct {
	max    int
	panics *atomic.Int64
	log    *slog.Logger

	mu      sync.Mutex
	running int
	idle    chan struct{} // closed when none runs; nil while nobody waits
}

// run starts f, called name in logs, unless max are running. failed is called instead of what f did not finish, by a panic or by
// runtime.Goexit.
func (c *callbacks) run(name string, f, failed func()) bool {
	c.mu.Lock()
	if c.running >= c.max {
		c.mu.Unlock()
		return false
	}
	c.running++
	c.mu.Unlock()
	go func() {
		defer c.done()
		finished := false
		defer func() {
			if finished {
				return
			}
			p := recover() // nil after runtime.Goexit
			c.panics.Add(1)
			c.log.LogAttrs(context.Background(), slog.LevelError, "callback panicked",
				slog.String("callback", name), slog.Any("panic", p), slog.String("stack", string(debug.Stack())))
			failed()
		}()
		f()
		finished = true
	}()
	return true
}

func (c *callbacks) done() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.running--; c.running == 0 && c.idle != nil {
		close(c.idle)
		c.idle = nil
	}
}

func (c *callbacks) count() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.running
}

// wait returns nil when no callback runs, or the cause for which ctx ended.
func (c *callbacks) wait(ctx context.Context) error {
	for {
		c.mu.Lock()
		if c.running == 0 {
			c.mu.Unlock()
			return nil
		}
		if c.idle == nil {
			c.idle = make(chan struct{})
		}
		idle := c.idle
		c.mu.Unlock()
		select {
		case <-idle:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}
