// Package park is the contract between those who have a stream and the engines that drive it without a goroutine.
package park

import (
	"log/slog"
	"net"
	"time"

	"github.com/goceleris/celeris/engine"
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
	Park(c net.Conn, m *fanout.Member, p Parking) Driver
	// Stats are counters and gauges of the moment.
	Stats() engine.Stats
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

	// What follows is for streams with an Inbound. There Heartbeat is how long the peer may be silent, and Beat asks it for
	// a sign of life.

	// Patience is how long the peer may go on being silent then; for ever if it is zero.
	Patience time.Duration
	// Parting is how long the peer is listened to behind the farewell, until the Inbound has had enough, and how long the
	// owner may take for a farewell then.
	Parting time.Duration
}

// Owner is whose stream is parked. Its methods must not block.
type Owner interface {
	// OnAge is called once, at MaxAge.
	OnAge()
	// OnEnd gets the end of the stream, once, when its connection is closed.
	OnEnd(engine.End)
}

// Parking says how a parked stream is driven, and for whom.
type Parking struct {
	*Pace
	Owner Owner
	// Born is when the stream was accepted, Sent how many bytes of it went out before it was parked.
	Born time.Time
	Sent int64
	// Inbound gets what the peer sends. Without one that is thrown away, and too much of it ends the stream.
	Inbound Inbound
	// Early is what the peer has sent already; it comes first.
	Early []byte
}

// Options are the choices of those who open an engine. The zero value works.
type Options struct {
	// SendBuffer is how many bytes the kernel may keep for one connection, SO_SNDBUF. Zero means 64 KiB.
	SendBuffer int
	// Logger gets what goes wrong. Nil means [slog.Default].
	Logger *slog.Logger
}
