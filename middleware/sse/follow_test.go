package sse_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/goceleris/celeris/middleware/sse"
)

// follow collects what Events yields, as data or as the text of a loss, until another error ends it.
func follow(ctx context.Context, b *sse.Broker, lastID string, topics ...string) (got []string, err error) {
	for e, err := range b.Events(ctx, lastID, topics...) {
		if r, ok := errors.AsType[*sse.ResyncError](err); ok {
			_, pos, _ := strings.Cut(r.ID, "-")
			got = append(got, fmt.Sprintf("%s %d at %s", r.Reason, r.Dropped, pos))
			continue
		}
		if err != nil {
			return got, err
		}
		_, pos, _ := strings.Cut(e.ID(), "-")
		got = append(got, e.Event().Data+" at "+pos)
	}
	return got, nil
}

func TestEvents_ResumesThenFollows(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBroker(t, sse.BrokerConfig{})
		first := publish(t, b, "1", "a")
		publish(t, b, "2", "b")
		publish(t, b, "3", "a")
		ctx, cancel := context.WithCancelCause(t.Context())
		type result struct {
			got []string
			err error
		}
		results := make(chan result, 3)
		for _, lastID := range []string{first, "", "other-9"} {
			go func() {
				got, err := follow(ctx, b, lastID, "a")
				results <- result{append([]string{lastID}, got...), err}
			}()
			synctest.Wait()
		}
		publish(t, b, "4", "a")
		publish(t, b, "5", "b")
		synctest.Wait()
		cancel(errBanned)
		want := map[string]string{
			first: "[3 at 3 4 at 4]", "": "[4 at 4]", "other-9": "[restarted 0 at 3 4 at 4]",
		}
		for range 3 {
			r := <-results
			is(t, "end", r.err, errBanned)
			if got := fmt.Sprint(r.got[1:]); got != want[r.got[0]] {
				t.Errorf("from %q: %s, want %s", r.got[0], got, want[r.got[0]])
			}
		}
		if got := b.Stats().Subscribers; got != 0 {
			t.Errorf("%d subscribers", got)
		}
	})
}

func TestEvents_EndsWithTheBroker(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBroker(t, sse.BrokerConfig{})
		done := make(chan struct{})
		go func() {
			defer close(done)
			got, err := follow(t.Context(), b, "")
			is(t, "end", err, sse.ErrClosed)
			equal(t, "events", got, "last at 1")
		}()
		synctest.Wait()
		publish(t, b, "last")
		if err := b.Close(t.Context()); err != nil {
			t.Error(err)
		}
		<-done
	})
}

func TestEvents_SlowLoopCostsOnlyItself(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBroker(t, sse.BrokerConfig{SubscriberBuffer: 8, History: 8, HistoryBytes: 1, MaxLagBytes: 1})
		seen := make(chan string, 4)
		next := make(chan struct{})
		go func() {
			for e, err := range b.Events(t.Context(), "") {
				if r, ok := errors.AsType[*sse.ResyncError](err); ok {
					seen <- r.Reason
				} else if err == nil {
					seen <- e.Event().Data[:1]
				}
				if _, ok := <-next; !ok {
					return
				}
			}
		}()
		synctest.Wait()
		publish(t, b, "a")
		if got := <-seen; got != "a" {
			t.Errorf("first %q", got)
		}
		for range 200 {
			publish(t, b, strings.Repeat("x", 1000))
		}
		if s := b.Stats(); s.HistoryBytes > 100_000 {
			t.Errorf("a loop that stands still holds %d bytes", s.HistoryBytes)
		}
		next <- struct{}{}
		if got := <-seen; got != "lagged" {
			t.Errorf("second %q, want a loss", got)
		}
		publish(t, b, "b")
		next <- struct{}{}
		if got := <-seen; got != "b" {
			t.Errorf("third %q, want what came after the loss", got)
		}
		close(next)
		synctest.Wait()
		time.Sleep(time.Second)
	})
}

func TestEvents_EndWithTheirContextWhateverIsDue(t *testing.T) {
	b := newBroker(t, sse.BrokerConfig{})
	first := publish(t, b, "0")
	for i := range 10 {
		publish(t, b, strconv.Itoa(i+1))
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var got []string
	var last error
	for p, err := range b.Events(ctx, first) {
		if last = err; err == nil {
			got = append(got, p.Event().Data)
			cancel()
		}
	}
	equal(t, "events", got, "1")
	is(t, "end", last, context.Canceled)
}

func TestEvents_EndWithABrokerThatClosesMeanwhile(t *testing.T) {
	for range 500 { // a few of which meet the moment between joining and being known
		b := newBroker(t, sse.BrokerConfig{})
		begin, done := make(chan struct{}), make(chan error, 1)
		go func() {
			<-begin
			var last error
			for _, err := range b.Events(t.Context(), "") {
				last = err
			}
			done <- last
		}()
		close(begin)
		runtime.Gosched()
		if err := b.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
		select {
		case err := <-done:
			is(t, "end", err, sse.ErrClosed)
		case <-time.After(20 * time.Second):
			t.Fatal("it waits for a broker that is closed")
		}
	}
}
