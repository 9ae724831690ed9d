package sse

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/goceleris/celeris/engine"
)

// Farewell is what a client is told before its stream is closed.
type Farewell struct {
	// Event is sent last, unless it is nil. Its ID must be empty.
	Event *Event
	// Retry is when the client may come back. Zero means the stream's RetryInterval and a random part of its
	// RetryJitter. It is sent in whole milliseconds; anything else can't be encoded.
	Retry time.Duration
}

// Disconnect closes the streams of the clients for which pred is true, at the end of the event that is being sent:
// those whose rights have changed, say. Private events that were queued before, and then farewell, nil for none,
// still go out. reason is what OnDisconnect gets. It returns how many streams it closed. pred runs on the caller's
// goroutine. An error means that the farewell can't be encoded; then nothing was closed.
func (b *Broker) Disconnect(pred func(*Client) bool, reason error, farewell *Farewell) (int, error) {
	var event []byte
	if farewell != nil {
		if err := (Event{Retry: farewell.Retry}).validate(); err != nil {
			return 0, err
		}
		if farewell.Event != nil {
			p, err := Prepare(*farewell.Event)
			if err != nil {
				return 0, err
			}
			event = p.wire
		}
	}
	n, why := 0, dismiss(reason)
	for _, m := range b.core.Members() {
		c := clientOf(m)
		if !pred(c) {
			continue
		}
		var frame []byte
		if farewell != nil {
			frame = c.farewell(farewell.Retry, event)
		}
		m.Finish(why, frame, false)
		n++
	}
	return n, nil
}

// Close ends the broker: publishing and subscribing answer [ErrClosed], what was published before is delivered, every
// stream gets its farewell and ends. Streams that are left when ctx ends are cut, and callbacks that still run are
// left behind: then the error is [ErrStuckCallbacks] or the cause of ctx. A ReplayStore that stores later is flushed
// first. No goroutine of the broker is left, unless the store does not return from a call.
func (b *Broker) Close(ctx context.Context) error {
	b.core.Refuse()
	b.mu.Lock()
	b.closed = true
	for m := range b.readers {
		m.Finish(ErrClosed, nil, true)
	}
	b.mu.Unlock()
	for _, m := range b.core.Members() {
		clientOf(m).say(ErrClosed, true)
	}
	err := b.core.WaitEmpty(ctx)
	if err != nil {
		for _, m := range b.core.Members() {
			m.Cut(engine.ErrCut)
		}
		// A cut stream ends by itself; no more than a moment is spent on seeing it.
		moment, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
		_ = b.core.WaitEmpty(moment)
		cancel()
		err = fmt.Errorf("sse: streams were cut: %w", err)
	}
	if b.mirror != nil {
		return errors.Join(err, b.closeStore(ctx))
	}
	if stuck := b.core.Stop(ctx); stuck != nil {
		err = errors.Join(err, ErrStuckCallbacks, stuck)
	}
	return err
}

// ErrStuckCallbacks means that callbacks still ran when the time to close was over.
var ErrStuckCallbacks = errors.New("sse: callbacks are still running")
