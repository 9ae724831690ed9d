package websocket

import (
	"errors"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/goceleris/celeris/engine"
	"github.com/goceleris/celeris/internal/exchange"
	"github.com/goceleris/celeris/internal/fanout"
	"github.com/goceleris/celeris/internal/park"
	"github.com/goceleris/celeris/internal/wsproto"
)

// box is the reading side of a connection with callbacks. Whoever has the connection feeds it what comes; it takes
// that apart and keeps whole messages until a goroutine has handled them, one at a time.
type box struct {
	conn  *Conn
	visit *visit

	// For who feeds it.
	parser wsproto.Parser
	msg    assembly

	inflater *wsproto.Inflater // for who handles messages; nil without compression

	mu      sync.Mutex // guards what follows
	driver  driver
	unsaid  *[]byte // a pong from before there was a driver
	inbox   []*parcel
	bytes   int  // of it
	waits   bool // callbacks have not begun
	paused  bool
	running bool           // somebody handles messages
	opened  bool           // OnOpen was called
	mute    bool           // OnMessage is called no more
	over    bool           // the connection is closed
	last    *CloseError    // the peer's close frame, not answered yet
	bad     *ProtocolError // what the peer did wrong, not answered yet
	why     error          // why nothing is read any more
	end     *engine.End
	done    chan struct{} // closed when it is over; nil until somebody asks
}

// driver is what a box needs of who feeds it: see [park.Driver].
type driver interface {
	Resume()
	Say(frame []byte)
	Enough()
}

// hand is the driver of a connection with a goroutine, which waits for its turn when reading is paused.
type hand struct {
	turn  chan struct{}
	sated atomic.Bool
	nc    net.Conn
}

// Resume implements driver.
func (h *hand) Resume() {
	select {
	case h.turn <- struct{}{}:
	default:
	}
}

// Say implements driver: the pipe does it.
func (*hand) Say([]byte) {}

// Enough implements driver.
func (h *hand) Enough() {
	h.sated.Store(true)
	_ = h.nc.SetReadDeadline(time.Unix(1, 0)) // if it fails nobody reads
	h.Resume()
}

// parcel is a message that waits.
type parcel struct {
	typ        MessageType
	compressed bool
	data       []byte
}

var (
	_ park.Inbound = (*box)(nil)
	_ park.Owner   = (*box)(nil)
)

func newBox(c *Conn) *box {
	return &box{conn: c, waits: true, parser: wsproto.Parser{Limit: c.cfg.ReadLimit}}
}

// OnData implements [park.Inbound].
func (b *box) OnData(p []byte) (n int, next park.Reading) {
	closing := b.closing()
	for {
		if !closing && b.full() {
			return n, park.Pause
		}
		ev, k, err := b.parser.Next(p[n:])
		n += k
		switch {
		case err != nil:
			return n, b.violated(err)
		case ev.Kind == wsproto.More:
			if n == len(p) {
				return n, park.More
			}
		case ev.Kind == wsproto.Data:
			if closing {
				continue
			}
			if err := b.add(ev); err != nil {
				return n, b.violated(err)
			}
		case b.control(ev) == park.Enough:
			return n, park.Enough
		}
	}
}

// closing reports whether a close frame of this side is on its way: messages are of no interest any more.
func (b *box) closing() bool {
	b.conn.mu.Lock()
	defer b.conn.mu.Unlock()
	return b.conn.closing != nil
}

// full reports whether nothing more is to be read, and notes it.
func (b *box) full() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.paused = !b.mute && (len(b.inbox) >= b.conn.cfg.MaxInbox || int64(b.bytes) >= b.conn.cfg.ReadLimit)
	return b.paused
}

// goOn has reading go on if it was paused.
func (b *box) goOn() {
	b.mu.Lock()
	d, ok := b.driver, b.paused
	b.paused = false
	b.mu.Unlock()
	if ok && d != nil {
		d.Resume()
	}
}

// add takes a piece of a message.
func (b *box) add(ev wsproto.Event) error {
	m := &b.msg
	if ev.First {
		*m = assembly{begun: true, typ: MessageType(ev.Opcode), compressed: ev.Compressed}
	}
	if m.typ == TextMessage && !m.compressed && (!m.text.Valid(ev.Payload) || ev.Last && !m.text.Complete()) {
		return wsproto.ErrText
	}
	m.grow(len(ev.Payload), b.parser.Pending())
	m.data = append(m.data, ev.Payload...)
	if !ev.Last {
		return nil
	}
	b.mu.Lock()
	b.inbox = append(b.inbox, &parcel{typ: m.typ, compressed: m.compressed, data: m.data})
	b.bytes += len(m.data)
	b.schedule()
	b.mu.Unlock()
	*m = assembly{}
	return nil
}

// small is what needs no buffer of its own size: many messages may wait.
const small = 1 << 10

// wide is how large a buffer may be that is used again.
const wide = 5 * piece

var wides = sync.Pool{New: func() any { return new(make([]byte, 0, wide)) }}

// grow makes room for n bytes, and for the pending ones of the frame as far as a peer has earned it by what it sent.
func (m *assembly) grow(n int, pending int64) {
	need := len(m.data) + n
	if m.data != nil && need <= cap(m.data) {
		return
	}
	earned := int(min(int64(need)+pending, int64(max(piece, 4*need))))
	b := takeBuffer(max(earned, 2*len(m.data)))
	b = append(b, m.data...)
	giveBuffer(m.data)
	m.data = b
}

// takeBuffer returns an empty buffer for n bytes.
func takeBuffer(n int) []byte {
	switch {
	case n <= small || n > wide:
		return make([]byte, 0, n)
	case n <= piece:
		return (*buffers.Get().(*[]byte))[:0]
	}
	return (*wides.Get().(*[]byte))[:0]
}

func giveBuffer(b []byte) {
	b = b[:0]
	switch {
	case cap(b) >= wide && cap(b) <= 2*wide:
		wides.Put(&b)
	case cap(b) >= piece && cap(b) <= 4*piece:
		buffers.Put(&b)
	}
}

// control deals with a control frame.
func (b *box) control(ev wsproto.Event) park.Reading {
	c := b.conn
	switch ev.Opcode {
	case wsproto.Ping:
		b.pong(ev.Payload)
	case wsproto.Pong:
		c.ping.answered(ev.Payload)
	default:
		code, text, err := wsproto.ParseClose(ev.Payload)
		if err != nil {
			return b.violated(err)
		}
		e := &CloseError{Code: code, Reason: text}
		c.mu.Lock()
		mine := c.closing
		c.mu.Unlock()
		b.mu.Lock()
		if mine != nil {
			b.fail(mine)
		} else {
			b.last = e
			b.fail(e)
		}
		b.schedule()
		b.mu.Unlock()
		return park.Enough
	}
	return park.More
}

// pong answers a ping. Of pings that come faster than the connection takes pongs, the last is answered: RFC 6455 5.5.3.
func (b *box) pong(payload []byte) {
	if b.conn.manned != nil {
		b.conn.pipe.answer(payload)
		return
	}
	frame := wsproto.AppendFrame(nil, wsproto.Frame{Opcode: wsproto.Pong, Fin: true}, payload)
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.driver == nil {
		b.unsaid = &frame
		return
	}
	b.driver.Say(frame)
}

// begin has callbacks begin.
func (b *box) begin(d driver) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.waits, b.driver = false, d
	if b.unsaid != nil {
		d.Say(*b.unsaid)
		b.unsaid = nil
	}
	b.schedule()
}

// violated closes a connection whose peer broke the protocol, behind what it said before.
func (b *box) violated(err error) park.Reading {
	e, ok := errors.AsType[*ProtocolError](err)
	if !ok {
		e = &ProtocolError{Code: StatusInternalError, Reason: "internal error"}
	}
	b.mu.Lock()
	b.fail(e)
	b.bad = e
	b.schedule()
	b.mu.Unlock()
	return park.Enough
}

// fail notes why nothing is read any more; the first reason counts. mu is held.
func (b *box) fail(err error) {
	if b.why == nil {
		b.why = err
	}
}

func (b *box) failure() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.why
}

// OnAge implements [park.Owner]: there is none.
func (*box) OnAge() {}

// OnEnd implements [park.Owner].
func (b *box) OnEnd(end engine.End) {
	c := b.conn
	switch {
	case errors.Is(end.Reason, fanout.ErrSlow):
		end.Reason = tooSlow()
	case errors.Is(end.Reason, park.ErrSilent):
		end.Reason = ErrPongTimeout
	case errors.Is(end.Reason, park.ErrUnanswered):
		end.Reason = ErrCloseTimeout
	}
	c.mu.Lock()
	closing := c.closing
	c.mu.Unlock()
	c.left() // before anybody learns that it has ended: a hub that waits for that waits for its callbacks next
	b.mu.Lock()
	if b.fail(end.Reason); b.why == nil && closing != nil {
		b.why = closing
	}
	why := b.why
	b.end, b.over = &end, true
	if b.done != nil {
		close(b.done)
	}
	b.msg = assembly{}
	b.mu.Unlock()
	c.cancel(why)
	if h := b.visit.host; h != nil {
		h.Ended(end)
	}
	b.mu.Lock()
	b.schedule()
	b.mu.Unlock()
}

// host is where callbacks run.
func (b *box) host() *exchange.Host {
	if b.visit.host != nil {
		return b.visit.host
	}
	return &b.conn.cfg.own
}

// schedule sees to it that somebody handles what there is. mu is held.
func (b *box) schedule() {
	if b.running || b.waits {
		return
	}
	b.running = true
	b.host().Call(b.visit.route, b.work)
}

// batch is how much one connection has handled before others have their turn.
const batch = 32

// work handles what there is.
func (b *box) work() {
	idle := false
	defer func() {
		if !idle { // others have their turn, or user code has ended the goroutine
			b.host().Call(b.visit.route, b.work)
		}
	}()
	for range batch {
		if !b.step() {
			idle = true
			return
		}
	}
}

// step does the next thing, and reports false if there is none.
func (b *box) step() bool {
	c := b.conn
	b.mu.Lock()
	switch {
	case !b.opened:
		b.opened = true
		b.mu.Unlock()
		if f := c.cfg.OnOpen; f != nil {
			b.call("OnOpen", func() { f(c) })
		}
	case len(b.inbox) > 0:
		m := b.inbox[0]
		b.inbox[0] = nil
		if b.inbox = b.inbox[1:]; len(b.inbox) == 0 {
			b.inbox = nil
		}
		b.bytes -= len(m.data)
		mute := b.mute
		room := b.paused && len(b.inbox) <= c.cfg.MaxInbox/2 && int64(b.bytes) <= c.cfg.ReadLimit/2
		b.mu.Unlock()
		if room {
			b.goOn()
		}
		if !mute {
			b.deliver(m)
		}
	case b.last != nil:
		e := b.last
		b.last = nil
		b.mu.Unlock()
		c.shut(&CloseError{Code: e.Code}, e) // RFC 6455 5.5.1: its code is echoed
	case b.bad != nil:
		e := b.bad
		b.bad = nil
		b.mu.Unlock()
		c.shut(&CloseError{Code: e.Code, Reason: e.Reason, Local: true}, e)
	case b.over:
		b.mu.Unlock()
		b.visit.tell()
		return false // and nobody begins again
	default:
		b.running = false
		b.mu.Unlock()
		return false
	}
	return true
}

// deliver hands a message on.
func (b *box) deliver(m *parcel) {
	c := b.conn
	data := m.data
	if m.compressed {
		var err error
		data, err = b.inflater.Append(takeBuffer(piece), m.data, c.cfg.ReadLimit)
		giveBuffer(m.data)
		if err == nil && m.typ == TextMessage {
			var text wsproto.UTF8
			if !text.Valid(data) || !text.Complete() {
				err = wsproto.ErrText
			}
		}
		if err != nil {
			b.silence()
			b.violated(err)
			b.enough()
			return
		}
	}
	if f := c.cfg.OnMessage; f != nil {
		b.call("OnMessage", func() { f(c, m.typ, data) })
	}
	giveBuffer(data)
}

// enough has nothing more read.
func (b *box) enough() {
	b.mu.Lock()
	d := b.driver
	b.mu.Unlock()
	d.Enough()
}

// silence has OnMessage called no more.
func (b *box) silence() {
	b.mu.Lock()
	b.mute = true
	b.mu.Unlock()
	b.goOn()
}

// call runs user code. If that panics, or ends its goroutine, the connection is closed.
func (b *box) call(name string, f func()) {
	ok := false
	defer func() {
		if ok {
			return
		}
		p := recover() // nil after runtime.Goexit
		b.conn.panicked(name, p)
		b.silence()
		b.mu.Lock()
		b.fail(ErrPanicked)
		b.mu.Unlock()
		b.conn.shut(&CloseError{Code: StatusInternalError, Local: true}, ErrPanicked)
	}()
	f()
	ok = true
}

// close is [Conn.Close].
func (b *box) close(e *CloseError) error {
	b.silence()
	b.conn.shut(e, nil)
	<-b.ended()
	err := b.failure()
	if _, ok := errors.AsType[*CloseError](err); ok {
		return nil
	}
	return err
}

// ended is closed when the connection is.
func (b *box) ended() <-chan struct{} {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.done == nil {
		b.done = make(chan struct{})
		if b.over {
			close(b.done)
		}
	}
	return b.done
}

// finished is closed when nothing is sent any more.
func (c *Conn) finished() <-chan struct{} {
	if c.box != nil {
		return c.box.ended()
	}
	return c.flushed
}

// listen feeds the box on this goroutine until the connection is over, where no shard does it.
func (b *box) listen(rest []byte) {
	c := b.conn
	h := &hand{turn: make(chan struct{}, 1), nc: c.nc}
	b.begin(h)
	c.keepAlive()
	narrow := make([]byte, inputSize)
	var broad *[]byte // for a large frame
	for {
		p := rest
		if len(p) == 0 {
			buf := narrow
			switch large := b.parser.Pending() > inputSize; {
			case large && broad == nil:
				broad = wides.Get().(*[]byte)
				fallthrough
			case large:
				buf = (*broad)[:cap(*broad)]
			case broad != nil:
				wides.Put(broad)
				broad = nil
			}
			c.waiting.Store(time.Now().UnixNano())
			n, err := c.nc.Read(buf)
			c.waiting.Store(0)
			if h.sated.Load() {
				break
			}
			if n == 0 {
				if err = gone(err); errors.Is(err, engine.ErrCut) {
					err = nil // it was said why
				}
				b.mu.Lock()
				b.fail(err)
				b.mu.Unlock()
				c.cut(gone(err))
				break
			}
			c.heard.Store(time.Now().UnixNano())
			p = buf[:n]
		}
		n, next := b.OnData(p)
		if next == park.Enough {
			break
		}
		if rest = nil; next == park.Pause {
			rest = p[n:]
			select {
			case <-h.turn:
			case <-c.flushed:
				if !b.closing() { // it was cut
					rest = nil
				}
			}
		}
	}
	if broad != nil {
		wides.Put(broad)
	}
	// Who handles the messages before the peer's last word may take his time, but not for ever.
	limit := time.AfterFunc(c.cfg.CloseTimeout, func() { c.cut(ErrCloseTimeout) })
	<-c.flushed
	limit.Stop()
	c.hangUp()
}
