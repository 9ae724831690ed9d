package interop

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"iter"
	"os"
	"os/exec"
	"strconv"
	"sync"
	"syscall"
	"testing"
	"time"
)

const (
	// events are published in one test, and as many may be under way.
	events, window = 300, 20
	// fewest is how often the connection has to be cut, or nothing was tested.
	fewest = 5
	// patience bounds a test.
	patience = time.Minute
)

// follow has events 1 to 300 published and fails unless the reader gets each of them, in order and once. With again, the
// one after which a connection was cut may come a second time. The event 0 is published until it arrives.
func follow(t *testing.T, c *cutter, publish func(n int) error, received iter.Seq2[string, error], again bool) {
	t.Helper()
	greeted, room := make(chan struct{}), make(chan struct{}, window)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	var publishing sync.WaitGroup
	defer publishing.Wait()
	defer cancel()
	publishing.Go(func() {
		for hello := true; hello; {
			if err := publish(0); err != nil {
				t.Errorf("publish: %v", err)
				return
			}
			select {
			case <-time.After(20 * time.Millisecond):
			case <-greeted:
				hello = false
			case <-ctx.Done():
				return
			}
		}
		for n := 1; n <= events; n++ {
			select {
			case room <- struct{}{}:
			case <-ctx.Done():
				return
			}
			if err := publish(n); err != nil {
				t.Errorf("publish %d: %v", n, err)
				return
			}
		}
	})
	last, repeated := -1, 0
	for data, err := range received {
		if err != nil {
			t.Fatalf("after event %d and %d cuts: %v", last, c.count(), err)
		}
		n, err := strconv.Atoi(data)
		switch {
		case err != nil:
			t.Fatalf("event %q", data)
		case last < 0 && n == 0:
			close(greeted)
			c.arm()
			last = 0
			continue
		case last == 0 && n == 0:
			continue
		case again && n == last:
			repeated++
			continue
		case n != last+1:
			t.Fatalf("event %d came after %d", n, last)
		}
		<-room
		if last = n; n == events {
			break
		}
	}
	if last != events || c.count() < fewest {
		t.Errorf("the events ended at %d, after %d cuts", last, c.count())
	}
	if repeated > c.count() {
		t.Errorf("%d events came twice, after %d cuts", repeated, c.count())
	}
	t.Logf("%d cuts, %d events twice", c.count(), repeated)
}

// script runs a Node.js script until the loop over its lines is left.
func script(t *testing.T, name string, args ...string) iter.Seq2[string, error] {
	t.Helper()
	return func(yield func(string, error) bool) {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		cmd := exec.CommandContext(ctx, "node", append([]string{name}, args...)...)
		cmd.Stderr = os.Stderr
		cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) } // it closes its browser
		cmd.WaitDelay = 10 * time.Second
		out, err := cmd.StdoutPipe()
		if err != nil {
			yield("", err)
			return
		}
		if err := cmd.Start(); err != nil {
			yield("", err)
			return
		}
		defer func() {
			cancel()
			_, _ = io.Copy(io.Discard, out) // until it has gone
			_ = cmd.Wait()                  // ended by the signal
		}()
		lines := bufio.NewScanner(out)
		for lines.Scan() {
			if !yield(lines.Text(), nil) {
				return
			}
		}
		yield("", fmt.Errorf("%s ended: %w", name, io.ErrUnexpectedEOF))
	}
}
