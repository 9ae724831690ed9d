package engine

import (
	"errors"
	"slices"
)

// EndKind says in one word how a stream ended. It is a label of counters and log lines.
type EndKind string

// Kinds of ends.
const (
	EndFinished  EndKind = "finished"  // its owner finished it
	EndPeerGone  EndKind = "peer_gone" // see [ErrPeerGone]
	EndStalled   EndKind = "stalled"   // see [ErrStalled]
	EndShutdown  EndKind = "shutdown"  // see [ErrShutdown]
	EndCut       EndKind = "cut"       // see [ErrCut]
	EndAbandoned EndKind = "abandoned" // see [ErrAbandoned]
	EndPolicy    EndKind = "policy"    // a policy for slow readers closed it
	EndMaxAge    EndKind = "max_age"   // it reached the age that it was given
	EndClosed    EndKind = "closed"    // the broker that it followed was closed
	EndPanicked  EndKind = "panicked"  // code that ran for it panicked
	EndOther     EndKind = "other"     // a reason of the application's own
)

// EndKinds are all of them.
func EndKinds() []EndKind {
	return []EndKind{
		EndFinished, EndPeerGone, EndStalled, EndShutdown, EndCut, EndAbandoned,
		EndPolicy, EndMaxAge, EndClosed, EndPanicked, EndOther,
	}
}

// Kind is the kind of end that the reason tells: [EndFinished] without one, what a method EndKind() EndKind of an error
// in its chain says, and [EndOther] if that is none of the constants or nothing in the chain is known.
func (e End) Kind() EndKind {
	switch {
	case e.Reason == nil:
		return EndFinished
	case errors.Is(e.Reason, ErrStalled): // before ErrPeerGone: who stalls may be gone as well
		return EndStalled
	case errors.Is(e.Reason, ErrPeerGone):
		return EndPeerGone
	case errors.Is(e.Reason, ErrShutdown):
		return EndShutdown
	case errors.Is(e.Reason, ErrCut):
		return EndCut
	case errors.Is(e.Reason, ErrAbandoned):
		return EndAbandoned
	}
	if k, ok := errors.AsType[interface {
		error
		EndKind() EndKind
	}](e.Reason); ok {
		if kind := k.EndKind(); slices.Contains(EndKinds(), kind) {
			return kind
		}
	}
	return EndOther
}
