package engine

import (
	"net"
	"time"

	"github.com/goceleris/celeris/internal/fanout"
)

// Engine drives streams without a goroutine for each of them. Its methods may be called from any goroutine.
type Engine interface {
	// Name is what the engine is called in logs and stats.
	Name() string
	// Parks reports whether c is a connection of a kind that the engine can drive.
	Parks(c net.Conn) bool
	// Park takes c over: from here on nobody else uses it. The stream's head and its first bytes have been sent. It
	// returns the driver of m.
	Park(c net.Conn, m *fanout.Member, p Parking) fanout.Driver
	// Stats are counters and gauges of the moment.
	Stats() Stats
	// Close cuts the streams that are left and returns when nothing of the engine runs any more.
	Close()
}

// Pace is what many streams have in common. It is not changed once a stream has it.
type Pace struct {
	// MaxStall is how long a peer may accept and acknowledge nothing while something waits for it.
	MaxStall time.Duration
	// Heartbeat is how long the stream may be silent; Beat is sent then when there is no position to tell.
	Heartbeat time.Duration
	Beat      []byte
	// MaxAge is the age at which the owner is asked to end the stream; there is none if it is zero.
	MaxAge time.Duration
}

// Owner is whose stream is parked. Its methods must not block.
type Owner interface {
	// OnAge is called once, at MaxAge.
	OnAge()
	// OnEnd gets the end of the stream, once, when its connection is closed.
	OnEnd(End)
}

// Parking says how a parked stream is driven, and for whom.
type Parking struct {
	*Pace
	Owner Owner
	// Born is when the stream was accepted, Sent how many bytes of it went out before it was parked.
	Born time.Time
	Sent int64
}

// Stats are counters and gauges of an engine.
type Stats struct {
	Shards   int   // goroutines that drive streams
	Streams  int   // parked now
	Refused  int   // of them, those whose connection takes no bytes now
	Passes   int64 // how often the ready streams were gone through
	Sends    int64 // offers to a connection
	Refusals int64 // offers of which it did not take all
	Bytes    int64 // that connections took
}
