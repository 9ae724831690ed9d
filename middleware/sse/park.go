package sse

import (
	"net/http"
	"sync/atomic"

	"github.com/goceleris/celeris/engine"
	"github.com/goceleris/celeris/internal/fanout"
)

// relay is the driver of a member whose stream may change engines.
type relay struct {
	to  atomic.Pointer[fanout.Driver]
	cut atomic.Bool
}

var _ fanout.Driver = (*relay)(nil)

func newRelay(d fanout.Driver) *relay {
	r := &relay{}
	r.to.Store(&d)
	return r
}

// Wake implements [fanout.Driver].
func (r *relay) Wake() { (*r.to.Load()).Wake() }

// Interrupt implements [fanout.Driver].
func (r *relay) Interrupt() {
	r.cut.Store(true)
	(*r.to.Load()).Interrupt()
}

// move makes d the driver. What reached the old one is repeated.
func (r *relay) move(d fanout.Driver) {
	r.to.Store(&d)
	if r.cut.Load() {
		d.Interrupt()
	}
	d.Wake()
}

// park hands the connection of a detached stream to the server's engine, and reports false if that can't be.
func (v *visit) park() bool {
	host := v.x.Host()
	if !v.detached || host == nil || host.Engine == nil || v.x.Request().ProtoMajor != 1 || !host.Engine.Parks(v.x.Conn()) {
		return false
	}
	// What the client sent already is in the buffer; nobody wants it.
	conn, _, err := http.NewResponseController(v.x.Base()).Hijack()
	if err != nil {
		return false
	}
	p := v.stream.Parking()
	p.OnEnd = func(end engine.End) {
		end = v.over(end)
		if v.key == nil && (v.handling || v.cfg.OnDisconnect == nil) && len(v.x.Ends()) == 0 {
			v.tell(end)
			return
		}
		host.Call(v.x.Route(), func() { v.tell(end) }) // the engine must not wait for it
	}
	v.driver.move(host.Engine.Park(conn, v.member, p))
	return true
}
