package sse

import (
	"net/http"
	"time"

	"github.com/goceleris/celeris/engine"
	"github.com/goceleris/celeris/internal/park"
)

// park hands the connection of a detached stream to the server's engine, and reports false if that can't be.
func (v *visit) park() bool {
	if !v.detached || v.host == nil || v.host.Engine == nil || v.x.Request().ProtoMajor != 1 || !v.x.Bare() || v.x.Conn() == nil {
		return false
	}
	e := v.host.Engine(v.x.Conn())
	if e == nil {
		return false
	}
	// What the client sent already is in the buffer; nobody wants it.
	conn, _, err := http.NewResponseController(v.x.Base()).Hijack()
	if err != nil {
		return false
	}
	p := park.Parking{Pace: v.cfg.paceFor(v.host.MaxStall), Owner: v}
	p.Born, p.Sent = v.stream.Begun()
	v.pack(v.x, conn.LocalAddr())
	v.x.Release()
	v.x, v.stream = nil, nil
	v.member.Drive(e.Park(conn, v.member, p))
	return true
}

// OnEnd implements [park.Owner].
func (v *visit) OnEnd(end engine.End) {
	end = v.over(end)
	if v.after == nil {
		v.tell(end)
		return
	}
	v.host.Call(v.after.route, func() { v.tell(end) }) // the engine must not wait for it
}

// paceFor is what all parked streams of a server have in common.
func (s *settings) paceFor(maxStall time.Duration) *park.Pace {
	if p := s.pace.Load(); p != nil && p.MaxStall == maxStall {
		return p
	}
	p := &park.Pace{MaxStall: maxStall, Heartbeat: s.HeartbeatInterval, Beat: beat, MaxAge: s.MaxAge}
	s.pace.Store(p)
	return p
}
