package sse

import (
	"errors"

	"github.com/goceleris/celeris/engine"
	"github.com/goceleris/celeris/internal/fanout"
)

// Errors of clients and brokers. They are matched with [errors.Is].
var (
	// ErrClientClosed means that the client's stream has ended or is ending.
	ErrClientClosed = errors.New("sse: client is closed")
	// ErrNotStarted means that the stream has not begun: OnConnect cannot send.
	ErrNotStarted = errors.New("sse: stream has not started")
	// ErrQueueFull means that the client's queue was full and its policy is to drop.
	ErrQueueFull = errors.New("sse: client queue is full")
	// ErrOtherBroker means that the client follows topics of another broker.
	ErrOtherBroker = errors.New("sse: client belongs to another broker")
	// ErrTooManyTopics means that a client or a publish named more than 1000 topics, or that the broker holds
	// MaxTopics, all of them followed.
	ErrTooManyTopics = errors.New("sse: too many topics")
	// ErrStore means that the ReplayStore failed; it wraps the store's error. Nothing was published.
	ErrStore = errors.New("sse: replay store failed")
	// ErrStoreBehind means that a ReplayStore which answers before it has stored is too far behind: a broker's by 4096
	// events or half of HistoryBytes, a [KVReplayStore] by its AsyncAppendBacklog. Nothing was published.
	ErrStoreBehind = errors.New("sse: replay store is too far behind")
	// ErrClosed means that the broker is closed or closing.
	ErrClosed error = &reason{"sse: broker is closed", engine.EndClosed}
)

// Reasons for which a stream ends, as OnDisconnect and [context.Cause] of [Client.Context] tell them, beside
// those of package engine.
var (
	// ErrSlowClient means that a policy closed a client that was too slow.
	ErrSlowClient error = &reason{"sse: client was too slow", engine.EndPolicy}
	// ErrMaxAge means that the stream reached its MaxAge.
	ErrMaxAge error = &reason{"sse: stream reached its maximum age", engine.EndMaxAge}
	// ErrPanicked means that user code of this client panicked.
	ErrPanicked error = &reason{"sse: handler or callback panicked", engine.EndPanicked}
)

// reason is an error that says what kind of end it is.
type reason struct {
	text string
	kind engine.EndKind
}

func (r *reason) Error() string { return r.text }

// EndKind is for [engine.End.Kind].
func (r *reason) EndKind() engine.EndKind { return r.kind }

// dismissal is a reason of the application's, with the kind of end that it was found to be. Whoever handles the end on a
// shard asks this one, and so runs no method of somebody else's error.
type dismissal struct {
	reason
	given error
}

func dismiss(given error) error {
	if given == nil {
		return nil
	}
	return &dismissal{reason{"sse: client was disconnected", engine.End{Reason: given}.Kind()}, given}
}

// givenReason is what the application gave, or err.
func givenReason(err error) error {
	if d, ok := err.(*dismissal); ok { //nolint:errorlint // it is never wrapped, and to look would run the methods of others
		return d.given
	}
	return err
}

// publicReason names the core's reasons in this package's words; others stay as they are.
func publicReason(err error) error {
	switch {
	case errors.Is(err, fanout.ErrSlow):
		return ErrSlowClient
	case errors.Is(err, fanout.ErrPanicked):
		return ErrPanicked
	}
	return err
}

// publicError names the core's errors in this package's words.
func publicError(err error) error {
	switch {
	case errors.Is(err, fanout.ErrClosed):
		return ErrClosed
	case errors.Is(err, fanout.ErrFrameTooLarge):
		return ErrEventTooLarge
	case errors.Is(err, fanout.ErrTooManyTopics):
		return ErrTooManyTopics
	case errors.Is(err, fanout.ErrOtherCore):
		return ErrOtherBroker
	case errors.Is(err, fanout.ErrEnded):
		return ErrClientClosed
	case errors.Is(err, fanout.ErrQueueFull):
		return ErrQueueFull
	}
	return err
}
