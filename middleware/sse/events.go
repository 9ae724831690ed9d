package sse

import (
	"bytes"
	"context"
	"fmt"
	"iter"

	"github.com/goceleris/celeris/internal/fanout"
)

// Events lets code of this process follow topics, the topic "" if there is none: it yields what was published since
// lastEventID, or from now on if that is "", and goes on until ctx ends, the broker is closed or the loop is left. Each
// step waits for the next event. A [ResyncError] tells of lost events and is followed by later events; any other
// error comes last. A consumer that is slower than the publishers costs no memory; it gets a ResyncError.
func (b *Broker) Events(ctx context.Context, lastEventID string, topics ...string) iter.Seq2[*PreparedEvent, error] {
	if len(topics) == 0 {
		topics = defaultTopic
	}
	return func(yield func(*PreparedEvent, error) bool) {
		wake := make(waker, 1)
		m := fanout.NewMember(wake, nil, liveDepth)
		if err := b.openAt(ctx, m, lastEventID, topics); err != nil {
			yield(nil, publicError(err))
			return
		}
		m.Start()
		b.reader(m, true)
		defer func() {
			b.reader(m, false)
			_ = m.End(nil) // its own reason is of no interest
		}()
		for {
			if ctx.Err() != nil {
				yield(nil, context.Cause(ctx))
				return
			}
			frame, notice, st := m.Step()
			switch {
			case notice != nil:
				if !yield(nil, resyncError(*notice)) {
					return
				}
				continue
			case st == fanout.More:
				if !yield(b.parse(frame), nil) {
					return
				}
				continue
			case st == fanout.Finished:
				yield(nil, ErrClosed)
				return
			}
			select {
			case <-wake:
			case <-ctx.Done():
			}
		}
	}
}

func (b *Broker) reader(m *fanout.Member, on bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !on {
		delete(b.readers, m)
		return
	}
	b.readers[m] = struct{}{}
	if b.closed {
		m.Finish(ErrClosed, nil, true)
	}
}

// parse takes a stamped frame apart. It copies: a log must not be kept by who reads it.
func (b *Broker) parse(frame []byte) *PreparedEvent {
	id, wire, _ := bytes.Cut(frame, []byte("\n"))
	if !bytes.HasPrefix(id, []byte(idField)) { // it went out without the store
		return &PreparedEvent{wire: bytes.Clone(frame)}
	}
	epoch, pos, _ := fanout.ParseID(string(id[len(idField):]))
	return &PreparedEvent{wire: bytes.Clone(wire), epoch: epoch, pos: pos}
}

// ResyncError tells a reader of [Broker.Events] that it lost events.
type ResyncError struct {
	// Reason is "lagged", "expired", "hole", "restarted" or "unknown_id".
	Reason string
	// Dropped is how many events were lost, 0 if that is not known.
	Dropped int
	// ID is where the reader goes on.
	ID string
}

func resyncError(n fanout.Notice) *ResyncError {
	return &ResyncError{Reason: n.Reason, Dropped: n.Dropped, ID: string(fanout.AppendID(nil, n.Epoch, n.Position))}
}

// Error implements error.
func (e *ResyncError) Error() string {
	return fmt.Sprintf("sse: resync at %s: %s, %d events lost", e.ID, e.Reason, e.Dropped)
}

// waker is the driver of a reader in this process.
type waker chan struct{}

// Wake implements [fanout.Driver].
func (w waker) Wake() {
	select {
	case w <- struct{}{}:
	default:
	}
}

// Interrupt implements [fanout.Driver].
func (w waker) Interrupt() { w.Wake() }
