package shard

import (
	"bytes"
	"math"
	"sync/atomic"

	"github.com/goceleris/celeris/engine"
	"github.com/goceleris/celeris/internal/park"
)

// turn is how many bytes of one stream are read, at least, before the others have their turn.
const turn = 64 << 10

// inbound is the part of a stream that listens to its peer. But for what is atomic it is for the shard's goroutine.
type inbound struct {
	to      park.Inbound
	rest    []byte  // was read and not taken
	heard   instant // when the peer last sent something
	asked   instant // when it was asked for a sign of life that has not come yet, or 0
	until   instant // when the owner has to have finished that has had enough
	paused  bool
	enough  bool
	listed  bool // among the shard's readers
	spoke   bool // what was said went out last
	resumed atomic.Bool
	sated   atomic.Bool // the owner has had enough
	said    atomic.Pointer[[]byte]
}

// Resume implements [park.Driver].
func (s *Stream) Resume() {
	if s.in != nil {
		s.in.resumed.Store(true)
		s.shard.ready(s)
	}
}

// Say implements [park.Driver].
func (s *Stream) Say(frame []byte) {
	if s.in != nil {
		s.in.said.Store(&frame)
		s.shard.ready(s)
	}
}

// Enough implements [park.Driver].
func (s *Stream) Enough() {
	if s.in != nil {
		s.in.sated.Store(true)
		s.shard.ready(s)
	}
}

// say takes what was said, but not twice in a row: a peer that has much to be answered can't keep the rest from it.
func (s *Stream) say() {
	in := s.in
	if len(s.rest) > 0 || s.finished || in.said.Load() == nil {
		return
	}
	if in.spoke = !in.spoke; in.spoke {
		s.rest = *in.said.Swap(nil)
	} else {
		s.shard.ready(s)
	}
}

// resume is Resume for the shard's goroutine.
func (s *Stream) resume(now instant) {
	if in := s.in; in.resumed.Swap(false) && in.paused {
		in.paused, in.heard, in.asked = false, now, 0
		s.again()
	}
}

// again has the stream listen when the others have had their turn.
func (s *Stream) again() {
	if !s.in.listed {
		s.in.listed = true
		s.shard.readers = append(s.shard.readers, s)
	}
}

// input takes what the peer has sent.
func (s *Stream) input(now instant) {
	if s.in == nil || s.in.enough || s.state == lingering {
		s.drain(now)
		return
	}
	s.listen(now)
}

// listen hands on what the peer has sent.
func (s *Stream) listen(now instant) {
	in := s.in
	for n := 0; n < turn; {
		if in.paused {
			return
		}
		p := in.rest
		if len(p) == 0 {
			var over bool
			if p, over = s.conn.Read(); over {
				s.gone()
				return
			}
			if len(p) == 0 {
				return
			}
			in.heard, in.asked = now, 0
			s.shard.received.Add(int64(len(p)))
		}
		n += len(p)
		k, next := in.to.OnData(p)
		switch {
		case next == park.Enough:
			s.deafen(now)
			return
		case next == park.Pause && s.state != parting:
			if len(in.rest) > 0 {
				in.rest = p[k:]
			} else {
				in.rest = bytes.Clone(p[k:]) // p is everybody's
			}
			if in.paused = !in.resumed.Swap(false); len(in.rest) == 0 {
				in.rest = nil
			}
		default:
			in.rest = nil
		}
	}
	s.again()
}

// deafen has nothing of what the peer sends reach its owner any more.
func (s *Stream) deafen(now instant) {
	in := s.in
	in.enough, in.rest = true, nil
	if s.state == parting {
		s.hangUp(now)
		return
	}
	if in.until = math.MaxInt64; s.pace.Parting > 0 {
		in.until = now.add(s.pace.Parting)
	}
	s.shard.wheel.hang(&s.timer, s.next(now))
	s.drain(now)
}

// gone is the end of a peer that was listened to.
func (s *Stream) gone() {
	if s.state == parting {
		s.unanswered(engine.ErrPeerGone)
		s.close()
		return
	}
	s.end(engine.ErrPeerGone)
}

// keepAlive asks a silent peer for a sign of life, and ends the stream of one that gives none.
func (s *Stream) keepAlive(now instant) {
	in := s.in
	switch {
	case in.enough:
		if now >= in.until {
			s.end(engine.ErrPeerGone)
		}
	case in.waits(s.pace):
		if now.sub(in.asked) >= s.pace.Patience {
			s.end(park.ErrSilent)
		}
	case now.sub(max(in.heard, in.asked)) >= s.pace.Heartbeat && len(s.rest) == 0 && !s.finished:
		s.rest, in.asked = s.pace.Beat, now
		s.shard.ready(s)
	}
}

// waits reports whether the peer has to give a sign of life. Nobody hears one of a peer that isn't listened to.
func (in *inbound) waits(pace *park.Pace) bool {
	return in.asked > 0 && !in.paused && pace.Patience > 0
}

// next is when keepAlive has something to do.
func (in *inbound) next(pace *park.Pace) instant {
	if in.enough {
		return in.until
	}
	if in.waits(pace) {
		return in.asked.add(pace.Patience)
	}
	return max(in.heard, in.asked).add(pace.Heartbeat)
}
