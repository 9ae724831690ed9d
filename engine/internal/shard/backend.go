package shard

import (
	"errors"
	"time"
)

// ErrRefused is what an [Op] ends with whose connection takes no more bytes for now.
var ErrRefused = errors.New("shard: connection takes no more bytes")

// Backend is what a shard needs of the system. But for Wake, its methods are called by the shard's goroutine only.
type Backend interface {
	// Send offers the bytes of each operation to its connection and does not wait.
	Send(ops []Op)
	// Wait appends what has happened to connections. It returns as soon as there is something, when Wake was called
	// since it last returned, or when until has come.
	Wait(events []Event, until time.Time) []Event
	// Wake makes Wait return. Any goroutine may call it, also after the end.
	Wake()
}

// Conn is one connection of a backend. Only the shard that owns it calls its methods.
type Conn interface {
	// Attach says whose connection it is; events carry s from here on, also those of what the peer did before. It reports
	// false if the connection can't be watched: then it is good for nothing but Close.
	Attach(s *Stream) bool
	// Arm asks for one event when the connection takes bytes again.
	Arm()
	// Queued is how many bytes the connection took that the peer has not acknowledged.
	Queued() int
	// CloseWrite ends the sending side behind what was sent.
	CloseWrite()
	// Read reads what the peer has sent, a bounded number of bytes, which are valid until the backend reads again. It does
	// not wait: there is nothing if p is empty. over means that the peer will send no more.
	Read() (p []byte, over bool)
	// Discard reads what the peer has sent and forgets it. It does not wait. over means that the peer will send no more.
	Discard() (n int, over bool)
	// Close gives the connection back; no event of it comes any more.
	Close()
}

// Op is one send.
type Op struct {
	Conn Conn
	Bufs [][]byte
	// N is how many bytes were taken, in order; Err is ErrRefused if there could have been more, or why the connection
	// is dead.
	N   int
	Err error
}

// Event is what happened to a connection: it takes bytes again, or its peer sent something or has closed.
type Event struct {
	Stream   *Stream
	Writable bool
	Readable bool
}
