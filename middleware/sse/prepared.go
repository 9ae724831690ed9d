package sse

import (
	"bytes"

	"github.com/goceleris/celeris/internal/fanout"
)

// PreparedEvent is an event in its wire form, formatted once and sent to any number of clients. It is immutable
// and may be used by any number of goroutines, published again, and to other brokers: it holds no id line, which a
// broker writes in front of it.
type PreparedEvent struct {
	wire  []byte
	key   string
	epoch string
	pos   fanout.Position
}

// Prepare formats e. An [EncodeError] tells what cannot be sent faithfully; e.ID must be empty ([ErrIDReserved]).
func Prepare(e Event) (*PreparedEvent, error) {
	if e.ID != "" {
		return nil, ErrIDReserved
	}
	wire, err := e.wire()
	if err != nil {
		return nil, err
	}
	return &PreparedEvent{wire: wire, key: e.Key}, nil
}

// Bytes returns the wire form without an id line. It must not be changed.
func (p *PreparedEvent) Bytes() []byte { return p.wire }

// Len is the length of Bytes, in bytes.
func (p *PreparedEvent) Len() int { return len(p.wire) }

// ID is the id under which a broker published the event, or "" for one that was only prepared.
func (p *PreparedEvent) ID() string {
	if p.epoch == "" {
		return ""
	}
	return string(fanout.AppendID(nil, p.epoch, p.pos))
}

// Event parses the wire form back. Its ID is that of [PreparedEvent.ID]. The Key is not on the wire: that of an event
// which [Broker.Events] yields is lost.
func (p *PreparedEvent) Event() Event {
	r := NewReader(bytes.NewReader(p.wire), &ReaderOptions{MaxEventBytes: len(p.wire)})
	e, _ := r.Next() // what AppendTo wrote can be read
	e.ID, e.Key = p.ID(), p.key
	return e
}
