package park

import (
	"errors"
	"fmt"

	"github.com/goceleris/celeris/engine"
	"github.com/goceleris/celeris/internal/fanout"
)

// ErrSilent ends a stream whose peer gave no sign of life when it was asked for one. It is an [engine.ErrPeerGone].
var ErrSilent = fmt.Errorf("%w: no answer to a heartbeat", engine.ErrPeerGone)

// ErrUnanswered ends a stream whose peer did not answer its farewell within Parting, if it has no other reason to end.
var ErrUnanswered = errors.New("park: no answer to the farewell")

// Driver drives a parked stream.
type Driver interface {
	fanout.Driver
	// Resume has reading go on that [Inbound.OnData] paused. It may be called by any goroutine, at any time, and also
	// before OnData has returned.
	Resume()
	// Say has a frame sent between two others, before those that wait. It replaces the one that was said before, if that has
	// not been sent. frame is kept. Streams without an Inbound say nothing.
	Say(frame []byte)
	// Enough is what OnData says with [Enough], from outside: what was not taken is thrown away. It may be called by any
	// goroutine, at any time; behind it OnData is called once more at most.
	Enough()
}

// Inbound takes what a peer sends. OnData is called by whoever drives the stream, one call at a time; it must not block.
// No call comes behind the end that the owner is told.
type Inbound interface {
	// OnData gets the next bytes, which are valid until it returns, and says how many of them it has taken and how reading
	// goes on. No bytes are left out; what was not taken comes again.
	OnData(p []byte) (n int, next Reading)
}

// Reading is how reading goes on.
type Reading uint8

// Ways to go on.
const (
	// More means that all was taken.
	More Reading = iota
	// Pause means that nothing is read until [Driver.Resume]: the peer has to wait. Behind the farewell it means More, and
	// what was not taken is thrown away.
	Pause
	// Enough means that whatever else the peer sends is thrown away, and that its end is no departure any more. The owner
	// finishes the stream, if it hasn't; it is ended when it has not within Parting.
	Enough
)
