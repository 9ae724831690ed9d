package wsspec

import (
	"context"
	"fmt"
	"net"
	"slices"
	"sync"
	"testing"
	"time"
)

// Target is a server that echoes every message with its type.
type Target struct {
	// Dial opens a connection on which the server expects a request. It is called from many goroutines.
	Dial func(ctx context.Context) (net.Conn, error)
	// Path is requested. Empty means "/".
	Path string
	// Deflate says that the server negotiates permessage-deflate. Without it, the cases of RFC 7692 demand that it
	// declines.
	Deflate bool
	// ReadLimit is the size of the largest message that the server takes, in bytes, at least 1 MiB. The next larger
	// one is refused with 1009.
	ReadLimit int64
	// Patience bounds each thing that a case waits for. Zero means 10 s.
	Patience time.Duration
}

// Case is one demand of the specification.
type Case struct {
	// Name begins with the section that demands it: "5.2/a message of 125 bytes".
	Name string

	offer string // Sec-WebSocket-Extensions of the request
	raw   bool   // steps come before the handshake, not behind it
	steps []step
}

// step is a part of a case: something said or something heard.
type step func(c *conn) error

// Cases returns all cases that apply to a target.
func Cases(target Target) []Case {
	limit := target.limit()
	return slices.Concat(handshakes(), refusals(), lengths(), bits(), pings(), fragments(), encoding(), closes(), codes(),
		limits(limit), floods(), offers(target.Deflate), deflated(target.Deflate, limit), takeovers(target.Deflate))
}

func (target Target) limit() int64 { return max(target.ReadLimit, 1<<20) }

// Run tries every case and reports each as a subtest.
func Run(t *testing.T, target Target) {
	t.Helper()
	cases := Cases(target)
	failed := check(t.Context(), target, cases)
	for _, c := range cases {
		t.Run(c.Name, func(t *testing.T) {
			if err := failed[c.Name]; err != nil {
				t.Error(err)
			}
		})
	}
}

// atOnce is how many cases [Check] tries at the same time.
const atOnce = 8

// Check tries the cases that want selects, all if it is nil, and returns what is wrong, by the name of the case.
func Check(ctx context.Context, target Target, want func(name string) bool) map[string]error {
	cases := Cases(target)
	if want != nil {
		cases = slices.DeleteFunc(cases, func(c Case) bool { return !want(c.Name) })
	}
	return check(ctx, target, cases)
}

func check(ctx context.Context, target Target, cases []Case) map[string]error {
	var mu sync.Mutex // guards failed
	failed := map[string]error{}
	var wg sync.WaitGroup
	room := make(chan struct{}, atOnce)
	for _, c := range cases {
		room <- struct{}{}
		wg.Go(func() {
			if err := c.try(ctx, target); err != nil {
				mu.Lock()
				failed[c.Name] = err
				mu.Unlock()
			}
			<-room
		})
	}
	wg.Wait()
	return failed
}

// try is one case on a connection of its own.
func (k *Case) try(ctx context.Context, target Target) error {
	c, err := target.connect(ctx)
	if err != nil {
		return err
	}
	defer c.raw.Close()
	if !k.raw {
		if err := c.open(k.offer); err != nil {
			return fmt.Errorf("opening handshake: %w", err)
		}
	}
	for i, do := range k.steps {
		if err := do(c); err != nil {
			return fmt.Errorf("step %d of %d: %w", i+1, len(k.steps), err)
		}
	}
	if k.raw || c.ended {
		return nil
	}
	if err := c.leave(); err != nil {
		return fmt.Errorf("close handshake at the end: %w", err)
	}
	return nil
}
