// Package engine names what every stream engine shares: how a stream ends and what is told about it.
package engine

import (
	"errors"
	"time"
)

// Reasons for which a stream ends. They are matched with [errors.Is]; a reason may wrap more detail.
var (
	// ErrPeerGone means that the peer closed its side, half-closed it or became unreachable.
	ErrPeerGone = errors.New("engine: peer is gone")
	// ErrStalled means that the peer accepted no byte for MaxStall.
	ErrStalled = errors.New("engine: no progress within MaxStall")
	// ErrShutdown means that the server is shutting down and the stream had its farewell.
	ErrShutdown = errors.New("engine: server is shutting down")
	// ErrFull means that the server, or one client of it, had as many streams as it may have when this one was about to
	// begin.
	ErrFull = errors.New("engine: too many streams")
	// ErrCut means that the stream was cut, without a farewell, at the end of a drain.
	ErrCut = errors.New("engine: stream was cut")
	// ErrAbandoned means that the code around a handler panicked after the stream was accepted.
	ErrAbandoned = errors.New("engine: stream was abandoned by its middleware")
)

// End tells how a stream ended.
type End struct {
	// Reason is why the stream ended; nil when its owner finished it in the ordinary way.
	Reason error
	// Bytes counts the bytes of the stream's body, its opening included, that were handed to the
	// connection.
	Bytes int64
	// Duration is the time from the acceptance of the stream to its end.
	Duration time.Duration
}

// Stream is what a server may do with an open stream while it shuts down. Its methods may be called
// from any goroutine, at any time, any number of times.
type Stream interface {
	// Drain asks the stream to say farewell and to end. It returns at once.
	Drain(reason error)
	// Cut ends the stream now, in the middle of whatever it is sending. It returns at once.
	Cut(reason error)
}
