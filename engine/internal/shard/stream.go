package shard

import (
	"sync/atomic"
	"time"

	"github.com/goceleris/celeris/engine"
	"github.com/goceleris/celeris/internal/fanout"
	"github.com/goceleris/celeris/internal/park"
)

const (
	lingerFor   = time.Second
	lingerBytes = 64 << 10
)

// state is what a stream is about.
type state uint8

const (
	arriving  state = iota // parked, and not seen by its shard yet
	streaming              // the ordinary state
	parting                // it has had its farewell and listens for the peer's
	lingering              // its sending side is closed
	closed
)

// Stream is one parked stream. Wake and Interrupt may be called by any goroutine.
//
// What a pass looks at comes first: with very many streams it is the cache lines of each that cost.
type Stream struct {
	shard  *Shard
	queued atomic.Bool // among the shard's ready streams
	cut    atomic.Bool

	// For the shard's goroutine.
	state    state
	refused  bool // its connection is armed
	full     bool // it has refused bytes since it last had none to take
	finished bool // nothing comes behind rest
	aged     bool // its owner was told of its age
	member   *fanout.Member
	conn     Conn
	rest     []byte  // of the frame that was begun, or a heartbeat
	sent     instant // when bytes last went out
	moved    instant // when a refusing connection last made progress, or until when one lingers
	bytes    int64
	waiting  int32 // bytes that it had not acknowledged then
	read     int32 // bytes of the peer that were thrown away
	timer    node
	born     instant
	reason   error
	pace     *park.Pace
	owner    park.Owner
	in       *inbound // nil if nobody wants to know what the peer sends
}

var _ park.Driver = (*Stream)(nil)

// Wake implements [fanout.Driver].
func (s *Stream) Wake() { s.shard.ready(s) }

// Interrupt implements [fanout.Driver].
func (s *Stream) Interrupt() {
	s.cut.Store(true)
	s.shard.ready(s)
}

// next is when the stream wants to be looked at though nothing happens.
func (s *Stream) next(now instant) instant {
	switch {
	case s.state == lingering || s.state == parting:
		return s.moved
	case s.full:
		// It may be over long before that, and then a heartbeat must not be late.
		look := min(s.pace.MaxStall/4, s.pace.Heartbeat)
		return min(s.moved.add(s.pace.MaxStall), s.age(now.add(look)))
	case s.in != nil:
		return s.age(s.in.next(s.pace))
	default:
		return s.age(s.sent.add(s.pace.Heartbeat))
	}
}

// age is t, or when the stream reaches its MaxAge if that is earlier.
func (s *Stream) age(t instant) instant {
	if s.pace.MaxAge > 0 && !s.aged {
		return min(t, s.born.add(s.pace.MaxAge))
	}
	return t
}

// arrive makes the stream its shard's.
func (s *Stream) arrive(now instant) {
	s.state, s.sent = streaming, now
	if !s.conn.Attach(s) {
		s.end(engine.ErrPeerGone)
		return
	}
	if s.in != nil {
		s.in.heard = now
		s.again()
	}
	s.shard.wheel.hang(&s.timer, s.next(now))
}

// tick does what a timer is for.
func (s *Stream) tick(now instant) {
	switch {
	case s.state == closed:
		return
	case s.state == lingering:
		s.close()
		return
	case s.state == parting:
		s.unanswered(park.ErrUnanswered)
		s.hangUp(now)
		return
	case s.pace.MaxAge > 0 && !s.aged && now >= s.born.add(s.pace.MaxAge):
		s.aged = true
		s.owner.OnAge()
	case s.full:
		if queued := int32(s.conn.Queued()); queued < s.waiting {
			s.moved, s.waiting = now, queued
		} else if now.sub(s.moved) >= s.pace.MaxStall {
			s.end(engine.ErrStalled)
			return
		}
		if s.waiting == 0 { // it was refused for want of memory, and nothing is under way that would tell of room
			s.accept()
			s.shard.ready(s)
		}
	case s.in != nil:
		if s.keepAlive(now); s.state == closed {
			return
		}
	case now.sub(s.sent) >= s.pace.Heartbeat && len(s.rest) == 0 && !s.finished:
		if s.rest = s.member.Heartbeat(); s.rest == nil {
			s.rest = s.pace.Beat
		}
		s.sent = now
		s.shard.ready(s)
	}
	s.shard.wheel.hang(&s.timer, s.next(now))
}

// refuse notes that the connection takes no more for now.
func (s *Stream) refuse(now instant) {
	queued := int32(s.conn.Queued())
	if !s.full || queued < s.waiting { // being told of room that isn't there is no progress
		s.moved = now
	}
	s.full, s.waiting = true, queued
	if !s.refused {
		s.refused = true
		s.shard.refused.Add(1)
		s.member.Refused(s.shard.at(now).UnixNano())
	}
	if s.in != nil {
		s.in.asked = 0 // that it can't be asked is judged by its progress
	}
	s.conn.Arm()
	s.shard.wheel.hang(&s.timer, s.next(now))
}

// accept notes that it takes bytes again.
func (s *Stream) accept() {
	if s.refused {
		s.refused = false
		s.shard.refused.Add(-1)
		s.member.Blocked(0)
	}
}

// drain throws away what the peer sends. A peer that has closed its side, or sends too much, has left.
func (s *Stream) drain(now instant) {
	n, over := s.conn.Discard()
	s.read += int32(n)
	switch {
	case !over && s.read <= lingerBytes:
	case over && s.state == streaming && s.in != nil: // it has said all it had to
	case s.state == lingering:
		s.close()
	case s.state == streaming:
		s.end(engine.ErrPeerGone)
	}
}

// finish is the end behind what was sent: it closes the sending side, once the peer has said farewell if it is to.
func (s *Stream) finish(now instant) {
	s.reason = s.member.End(nil)
	s.accept()
	if s.in == nil || s.in.enough || s.in.sated.Load() || s.pace.Parting <= 0 {
		s.hangUp(now)
		return
	}
	s.state, s.moved, s.in.paused = parting, now.add(s.pace.Parting), false
	s.shard.wheel.hang(&s.timer, s.moved)
	s.again()
}

// unanswered is the reason for which a peer has not answered the farewell, if that had none.
func (s *Stream) unanswered(why error) {
	if s.reason == nil {
		s.reason = why
	}
}

// hangUp closes the sending side and waits for the peer to close its own.
func (s *Stream) hangUp(now instant) {
	s.state, s.moved, s.read = lingering, now.add(lingerFor), 0
	s.conn.CloseWrite()
	s.shard.wheel.hang(&s.timer, s.moved)
	s.drain(now)
}

// end closes the connection at once.
func (s *Stream) end(reason error) {
	s.reason = s.member.End(reason)
	if s.in != nil && !s.in.enough {
		s.unanswered(reason)
	}
	s.accept()
	s.close()
}

func (s *Stream) close() {
	s.state, s.rest = closed, nil
	if s.in != nil {
		s.in.rest = nil
	}
	s.shard.wheel.drop(&s.timer)
	s.conn.Close()
	s.shard.live.Add(-1)
	s.tell()
}

// tell reports the end.
func (s *Stream) tell() {
	s.owner.OnEnd(engine.End{Reason: s.reason, Bytes: s.bytes, Duration: s.shard.now().sub(s.born)})
}
