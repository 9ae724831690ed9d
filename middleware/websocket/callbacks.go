package websocket

import (
	"math"
	"slices"
	"time"

	"github.com/goceleris/celeris/engine"
	"github.com/goceleris/celeris/internal/park"
	"github.com/goceleris/celeris/internal/wsproto"
)

// runBox sees a connection with callbacks to its end, or hands it to the server's engine. With ok false the middleware
// around has panicked.
func (v *visit) runBox(ok bool) {
	c, b := v.conn, v.conn.box
	v.route = v.x.Route()
	if !ok {
		b.silence()
		c.shut(&CloseError{Code: StatusInternalError, Local: true}, engine.ErrAbandoned)
	}
	if v.park() {
		return
	}
	b.listen(c.early)
	b.OnEnd(engine.End{Reason: c.why(), Bytes: c.pipe.bytes.Load(), Duration: time.Since(c.born)})
}

// park hands the connection to the server's engine, and reports false if that can't be.
func (v *visit) park() bool {
	c, b := v.conn, v.conn.box
	if v.host == nil || v.host.Engine == nil {
		return false
	}
	e := v.host.Engine(c.nc)
	if e == nil {
		return false
	}
	p := park.Parking{Pace: c.cfg.paceFor(v.maxStall()), Owner: b, Inbound: b, Early: c.early, Born: c.born, Sent: c.pipe.bytes.Load()}
	// What was sent meanwhile is out, or waits in the member.
	if !c.pipe.retire() {
		return false
	}
	c.life.pack(v.x, c.nc.LocalAddr())
	v.x.Release()
	nc := c.nc
	v.x = nil
	c.mu.Lock()
	c.manned = nil
	c.mu.Unlock()
	d := e.Park(nc, c.member, p)
	c.member.Drive(d)
	b.begin(d)
	d.Resume() // it may have been paused before anybody could resume it
	return true
}

var ping = wsproto.AppendFrame(nil, wsproto.Frame{Opcode: wsproto.Ping, Fin: true}, nil)

// paceFor is what all parked connections of a server have in common.
func (s *settings) paceFor(maxStall time.Duration) *park.Pace {
	if p := s.pace.Load(); p != nil && p.MaxStall == maxStall {
		return p
	}
	p := &park.Pace{MaxStall: maxStall, Heartbeat: s.PingInterval, Beat: ping, Patience: s.PongTimeout, Parting: s.CloseTimeout}
	if s.NoKeepalive {
		p.Heartbeat = math.MaxInt64
	}
	s.pace.Store(p)
	return p
}

// tell tells everybody that the connection is over.
func (v *visit) tell() {
	c := v.conn
	if v.host != nil {
		defer v.host.Remove(v)
	}
	end := *c.box.end
	for _, f := range slices.Backward(v.ends) {
		defer c.contain("OnStreamEnd", func() { f(end) }) //nolint:gocritic // all run when the connection is over
	}
	if f := c.cfg.OnClose; f != nil {
		c.contain("OnClose", func() { f(c, c.box.failure()) })
	}
}
