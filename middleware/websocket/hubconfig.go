package websocket

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/goceleris/celeris/internal/fanout"
	"github.com/goceleris/celeris/internal/wsproto"
)

// HubPolicy is what becomes of a connection that is too slow.
type HubPolicy int

// Policies for slow connections.
const (
	// HubPolicyClose closes the connection with 1013 (try again later), as soon as the message that is being sent is
	// complete. A client that comes back with its position misses nothing, where there is one.
	HubPolicyClose HubPolicy = iota
	// HubPolicyDrop skips what the connection has not been sent; it goes on with the next message. Its peer is told only
	// what HubConfig.OnResync says.
	HubPolicyDrop
	// HubPolicyRemove unregisters the connection, for good, which stays open.
	HubPolicyRemove
)

// SlowConn tells OnSlowConn how far a connection is behind.
type SlowConn struct {
	Conn     *Conn
	Messages int // due behind what is being sent
	Bytes    int // their size
}

// Resync tells OnResync what a connection has lost.
type Resync struct {
	Conn *Conn
	// Reason is "lagged" for a slow connection, "expired" for a position that the history has left behind, "restarted"
	// for one of another hub or process, and "unknown_id" for one that can't be.
	Reason string
	// Dropped is how many messages the connection lost, 0 if that is not known.
	Dropped int
	// Position is where it goes on: every message up to it is in the past, later ones follow.
	Position string
}

// HubConfig configures a [Hub]. The zero value works.
type HubConfig struct {
	// SubscriberBuffer is how many messages a connection may be behind while it takes no bytes. Zero means 1024.
	SubscriberBuffer int
	// MaxLagBytes is the same in bytes. Zero means 1 MiB.
	MaxLagBytes int
	// OnSlowConn decides about a connection that is beyond these limits. It is asked once per episode, on a goroutine of
	// its own, while the connection is served on; a verdict that comes after it has recovered is void. Nil means
	// HubPolicyClose. A panic closes the connection.
	OnSlowConn func(SlowConn) HubPolicy

	// OnJoin and OnLeave are told of connections that enter and leave rooms, in order for each room, one at a time, and
	// not on the goroutine of whoever caused it. A connection that has left before anybody was told that it came is not
	// mentioned. A room whose callback blocks delays that room only.
	OnJoin  func(c *Conn, room string)
	OnLeave func(c *Conn, room string)

	// History is how many messages of a room a connection can resume from, at least, and as many of those that go to all.
	// Zero means 1024; less than SubscriberBuffer means as many as that.
	History int
	// HistoryAge is after which time messages may be forgotten, and a room is that nobody is in. Zero means 10 minutes.
	HistoryAge time.Duration
	// HistoryBytes bounds the memory of all of them: above it the oldest messages go first. Zero means 64 MiB; less than
	// MaxLagBytes means as many.
	HistoryBytes int
	// MaxRooms bounds the rooms that have connections or a history: for one more, the room goes that nobody is in and
	// that was idle the longest. Zero means 10,000.
	MaxRooms int
	// MaxMessageBytes bounds one message, and what Envelope makes of it. Zero means 1 MiB.
	MaxMessageBytes int

	// Envelope, if set, makes what is sent of a message, and puts its position into it: a client that remembers the last
	// it has seen comes back with it, and [Hub.Resume] goes on from there. It is called by whoever broadcasts, under no
	// lock, and again when somebody else's message got the position meanwhile. It does not keep or change data. What it
	// makes of a text must be UTF-8. Messages of BroadcastFilter have no position, and none of this.
	Envelope func(position string, data []byte) []byte
	// OnResync, if set, builds the message that a connection gets in place of those it has lost: a text with the state as
	// of Position, say. Without data there is none. It runs on a goroutine of its own, and the connection's later messages
	// wait for it, for ResyncTimeout at most; without an answer they just go on. A panic closes the connection.
	OnResync func(context.Context, Resync) (data []byte, err error)
	// ResyncTimeout bounds OnResync. Zero means 5 s.
	ResyncTimeout time.Duration

	// Threshold is the size in bytes below which messages are sent as they are, also to connections that compress. Zero
	// means 128.
	Threshold int
	// Level is the level of compression, as in [Compression].
	Level int

	// MaxCallbacks bounds how many callbacks run at once: so many of OnSlowConn and OnResync, and as many of OnJoin and
	// OnLeave. Zero means 4096.
	MaxCallbacks int
	// Logger gets panics and failures of callbacks. Nil means [slog.Default].
	Logger *slog.Logger
}

// fill checks a config and fills its defaults in. Mistakes panic: they are the programmer's.
func (c *HubConfig) fill() {
	for _, f := range []struct {
		name  string
		value int64
	}{
		{"SubscriberBuffer", int64(c.SubscriberBuffer)},
		{"MaxLagBytes", int64(c.MaxLagBytes)},
		{"History", int64(c.History)},
		{"HistoryAge", int64(c.HistoryAge)},
		{"HistoryBytes", int64(c.HistoryBytes)},
		{"MaxRooms", int64(c.MaxRooms)},
		{"MaxMessageBytes", int64(c.MaxMessageBytes)},
		{"ResyncTimeout", int64(c.ResyncTimeout)},
		{"Threshold", int64(c.Threshold)},
		{"MaxCallbacks", int64(c.MaxCallbacks)},
	} {
		if f.value < 0 {
			panic(fmt.Sprintf("websocket: NewHub: %s is negative (%d)", f.name, f.value))
		}
	}
	c.MaxMessageBytes = cmp.Or(c.MaxMessageBytes, fanout.DefaultMaxFrame)
	c.Threshold = cmp.Or(c.Threshold, DefaultThreshold)
	c.Level = cmp.Or(c.Level, wsproto.DefaultLevel)
	if c.Level < wsproto.MinLevel || c.Level > wsproto.MaxLevel {
		panic(fmt.Sprintf("websocket: NewHub: Level is %d: want 1 to 9, or -2", c.Level))
	}
	c.MaxCallbacks = cmp.Or(c.MaxCallbacks, DefaultMaxCallbacks)
	c.Logger = cmp.Or(c.Logger, slog.Default())
}

// Errors of a [Hub].
var (
	// ErrHubClosed means that the hub is closed, or about to be.
	ErrHubClosed = errors.New("websocket: hub is closed")
	// ErrOtherHub means that the connection is, or was, registered with another hub. It belongs to one for life.
	ErrOtherHub = errors.New("websocket: connection belongs to another hub")
	// ErrRemoved means that the connection was too slow and HubPolicyRemove took it out of the hub.
	ErrRemoved = errors.New("websocket: connection was removed from its hub")
	// ErrNotRegistered means that the connection is not registered with the hub.
	ErrNotRegistered = errors.New("websocket: connection is not registered")
	// ErrTooManyRooms means that MaxRooms rooms have connections in them, or that one connection would be in 1000 rooms.
	ErrTooManyRooms = errors.New("websocket: too many rooms")
	// ErrTooBig means that a message to be broadcast is larger than MaxMessageBytes.
	ErrTooBig = errors.New("websocket: message is too big")
	// ErrFilterPanicked means that the predicate of a broadcast panicked: nobody got the message.
	ErrFilterPanicked = errors.New("websocket: predicate panicked")
)
