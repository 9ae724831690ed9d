package websocket

import (
	"errors"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/goceleris/celeris/engine"
	"github.com/goceleris/celeris/internal/fanout"
	"github.com/goceleris/celeris/internal/wsproto"
)

// piece is how many bytes are gathered for one write, and how much of a write has a deadline of its own.
const piece = 16 << 10

// pipe sends what is due to a member on a connection. Whoever has something to send and finds nobody sending does it,
// for all, as far as the socket takes it without waiting; a goroutine that ends by itself does the rest. So no sender
// ever waits for the peer, and an idle connection has no goroutine.
type pipe struct {
	nc       net.Conn
	raw      *raw // nil if the connection can't be asked for room
	member   *fanout.Member
	maxStall time.Duration
	mask     bool
	over     func(reason error, cut bool) // told of the end, once
	written  *atomic.Int64                // counts bytes, of the server; or nil
	bytes    atomic.Int64

	// mu guards what follows. It may be taken under Member.mu.
	mu      sync.Mutex
	driving bool // somebody sends
	again   bool // and has to look once more
	cut     bool
	done    bool          // nothing is sent any more
	ping    bool          // a ping is due
	pong    []byte        // the payload of the last ping that was not answered; nil if there is none
	drained chan struct{} // closed when nothing is left to send; nil while nobody waits

	// For who sends.
	finished bool
	bufs     [][]byte
	rest     []byte        // of what was begun, to be sent before anything else
	held     *[]byte       // where rest is, if it is pooled
	left     atomic.Int64  // bytes of rest
	ctl      [8 + 125]byte // a control frame
}

var _ fanout.Driver = (*pipe)(nil)

// buffers hold what is being sent.
var buffers = sync.Pool{New: func() any { return new(make([]byte, 0, piece)) }}

// Wake implements [fanout.Driver].
func (p *pipe) Wake() {
	if p.claim() {
		go p.drive(true)
	}
}

// Interrupt implements [fanout.Driver].
func (p *pipe) Interrupt() {
	p.mu.Lock()
	p.cut = true
	p.mu.Unlock()
	_ = p.nc.SetWriteDeadline(time.Unix(1, 0)) // a tunnel goes on with what it was about when it is closed
	_ = p.nc.Close()                           // reads and writes fail
}

// claim asks for another look, and reports whether the caller must take it.
func (p *pipe) claim() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.again = true; p.driving || p.done {
		return false
	}
	p.driving = true
	return true
}

// release ends a claim if there is nothing to look for.
func (p *pipe) release() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.again {
		return false
	}
	p.driving = false
	p.signal()
	return true
}

func (p *pipe) signal() {
	if p.drained != nil {
		close(p.drained)
		p.drained = nil
	}
}

// retire ends a pipe that nobody uses and that has sent all it had, and reports false if it isn't one.
func (p *pipe) retire() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.driving || p.done || p.cut || len(p.rest) > 0 {
		return false
	}
	p.driving = true // for good: nobody gets a claim
	return true
}

// queue sends a frame through the member's queue, which keeps it. sent means that the connection has taken it.
func (p *pipe) queue(frame []byte) (sent bool, err error) {
	claimed := p.claim()
	if err := p.member.Send(frame); err != nil {
		if claimed {
			p.run()
		}
		return false, err
	}
	return claimed && p.run(), nil
}

// run drives a claim as far as the caller need not wait. It reports whether all that was due is sent.
func (p *pipe) run() bool {
	if p.raw == nil {
		go p.drive(true)
		return false
	}
	return p.drive(false)
}

// try sends a frame past the queue if it is the only thing to be sent and the connection takes it now. frame is not kept.
// With tried false nothing was sent.
func (p *pipe) try(frame []byte) (sent, tried bool, err error) {
	if p.raw == nil || !p.idle() || !p.claim() {
		return false, false, nil
	}
	if len(p.rest) > 0 || !p.member.Quiet() {
		p.run()
		return false, false, nil
	}
	n, err := p.raw.write(frame)
	p.count(n)
	switch {
	case err != nil:
		p.end(p.failed(err))
		return false, true, ErrClosed
	case n == 0:
		p.run()
		return false, false, nil
	case n < len(frame):
		p.keep(frame[n:])
	}
	return p.drive(false), true, nil
}

func (p *pipe) idle() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return !p.driving && !p.done
}

// keep makes a copy of b the rest.
func (p *pipe) keep(b []byte) {
	if len(b) <= piece {
		p.held = buffers.Get().(*[]byte)
		*p.held = append((*p.held)[:0], b...)
		b = *p.held
	} else {
		b = append([]byte(nil), b...)
	}
	p.setRest(b)
}

func (p *pipe) setRest(b []byte) {
	if p.rest = b; len(b) == 0 {
		p.rest = nil
		if p.held != nil {
			buffers.Put(p.held)
			p.held = nil
		}
	}
	p.left.Store(int64(len(b)))
}

// drive sends all that is due. Unless it may wait, it leaves what the connection doesn't take to a goroutine, and
// reports false. The caller has the claim.
func (p *pipe) drive(wait bool) (all bool) {
	for {
		p.mu.Lock()
		p.again = false
		p.mu.Unlock()
		if left := p.pass(wait); left != nil {
			go left()
			return false
		}
		if p.finished {
			return true
		}
		if wait {
			p.member.Blocked(0)
			_ = p.nc.SetWriteDeadline(time.Time{}) // it would keep raw from sending
		}
		if p.release() {
			return true
		}
	}
}

// pass sends until nothing is due. If it must not wait, and the connection doesn't take it all, it returns what has to be
// called then.
func (p *pipe) pass(wait bool) (left func()) {
	for n := 0; !p.finished; n++ {
		if !wait && n == maxFavours {
			return func() { p.drive(true) }
		}
		closing := false
		if len(p.rest) == 0 {
			if closing = p.next(); len(p.rest) == 0 && !closing {
				return nil
			}
		}
		for len(p.rest) > 0 {
			blocked, err := p.send(wait)
			switch {
			case err != nil:
				p.end(p.failed(err))
				return nil
			case blocked:
				p.member.Refused(time.Now().UnixNano())
				if closing { // Next has said all it had to say
					return p.last
				}
				return func() { p.drive(true) }
			}
		}
		if closing {
			p.end(nil)
		}
	}
	return nil
}

// maxFavours is how many writes a sender does for others before a goroutine goes on.
const maxFavours = 64

// last sends what is left behind everything else.
func (p *pipe) last() {
	for len(p.rest) > 0 {
		if _, err := p.send(true); err != nil {
			p.end(p.failed(err))
			return
		}
	}
	p.end(nil)
}

// next makes what is due the rest. finished means that nothing comes behind it.
func (p *pipe) next() (finished bool) {
	if ctl := p.control(); len(ctl) > 0 {
		p.setRest(ctl)
		return false
	}
	bufs, st := p.member.Next(p.bufs[:0], piece)
	switch {
	case len(bufs) == 0:
	case len(bufs) == 1 && len(bufs[0]) > fanout.AloneAbove:
		p.setRest(bufs[0])
	default:
		// A copy: what waits must pin no log.
		n := 0
		for _, b := range bufs {
			n += len(b)
		}
		var b []byte
		if n <= piece {
			p.held = buffers.Get().(*[]byte)
			b = (*p.held)[:0]
		} else {
			b = make([]byte, 0, n)
		}
		for i := range bufs {
			b = append(b, bufs[i]...)
		}
		p.setRest(b)
	}
	clear(bufs)
	p.bufs = bufs[:0]
	if cap(p.bufs) > 64 {
		p.bufs = nil
	}
	return st == fanout.Finished
}

// control returns the control frames that are due.
func (p *pipe) control() []byte {
	p.mu.Lock()
	defer p.mu.Unlock()
	b := p.ctl[:0]
	f := wsproto.Frame{Fin: true, Masked: p.mask}
	if p.ping {
		p.ping = false
		f.Opcode, f.Key = wsproto.Ping, p.key()
		b = wsproto.AppendFrame(b, f, nil)
	}
	if p.pong != nil {
		f.Opcode, f.Key = wsproto.Pong, p.key()
		b = wsproto.AppendFrame(b, f, p.pong)
		p.pong = nil
	}
	return b
}

func (p *pipe) key() uint32 {
	if !p.mask {
		return 0
	}
	return newKey()
}

// send writes a piece of the rest. Without wait, blocked means that the connection took less.
func (p *pipe) send(wait bool) (blocked bool, err error) {
	if !wait {
		n, err := p.raw.write(p.rest)
		p.count(n)
		p.setRest(p.rest[n:])
		return len(p.rest) > 0, err
	}
	b := p.rest[:min(len(p.rest), piece)]
	now := time.Now()
	_ = p.nc.SetWriteDeadline(now.Add(p.maxStall)) // a connection without deadlines is cut by who closes it
	if p.raw == nil {
		p.member.Blocked(now.Add(refusedAfter).UnixNano())
	}
	p.member.Sending(now.UnixNano())
	n, err := p.nc.Write(b)
	p.member.Sending(0)
	p.count(n)
	p.setRest(p.rest[n:])
	return false, err
}

// refusedAfter is how long one write takes before it counts as refused.
const refusedAfter = 250 * time.Millisecond

func (p *pipe) count(n int) {
	p.bytes.Add(int64(n))
	if p.written != nil {
		p.written.Add(int64(n))
	}
}

// failed names the reason for which a write failed.
func (p *pipe) failed(err error) error {
	p.mu.Lock()
	cut := p.cut
	p.mu.Unlock()
	switch {
	case cut:
		return engine.ErrCut
	case errors.Is(err, os.ErrDeadlineExceeded):
		return errors.Join(engine.ErrStalled, err)
	}
	return errors.Join(engine.ErrPeerGone, err)
}

// end is called once, by who sends: nothing is sent any more.
func (p *pipe) end(err error) {
	p.finished = true
	p.mu.Lock()
	p.done = true
	p.pong, p.ping = nil, false
	cut := p.cut || err != nil
	p.signal()
	p.mu.Unlock()
	p.setRest(nil)
	p.over(p.member.End(err), cut)
}

// answer makes the payload of a ping the next pong. Of pings that come faster than the connection takes pongs, the last
// is answered: RFC 6455 5.5.3.
func (p *pipe) answer(payload []byte) {
	p.mu.Lock()
	p.pong = append(make([]byte, 0, len(payload)), payload...)
	p.mu.Unlock()
	if p.claim() {
		p.run()
	}
}

// probe sends a ping.
func (p *pipe) probe() {
	p.mu.Lock()
	p.ping = true
	p.mu.Unlock()
	p.Wake()
}

// buffered is how many bytes wait.
func (p *pipe) buffered() int { return p.member.Queued() + int(p.left.Load()) }

// whenDrained returns a channel that is closed when nothing waits, or nothing will be sent any more.
func (p *pipe) whenDrained() <-chan struct{} {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.drained == nil {
		p.drained = make(chan struct{})
		c := p.drained
		if !p.driving || p.done {
			p.signal()
		}
		return c
	}
	return p.drained
}
