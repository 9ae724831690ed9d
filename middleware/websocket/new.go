package websocket

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/goceleris/celeris"
	"github.com/goceleris/celeris/engine"
	"github.com/goceleris/celeris/internal/exchange"
	"github.com/goceleris/celeris/internal/wsproto"
)

// New returns a handler that turns requests into WebSocket connections; it also serves plain net/http. A mistake in cfg
// panics.
//
// A request that is no valid opening handshake is refused: 426 if it does not ask for a WebSocket or for this version, 405
// for another method than GET (CONNECT over HTTP/2), 403 for an origin that is not allowed, 400 for the rest, and 500
// if the response writer can't be taken over. Middleware around the handler unwinds when the handshake has been
// answered.
func New(cfg Config) celeris.HandlerFunc {
	s := settle(cfg)
	return func(c *celeris.Context) error {
		r := c.Request()
		hello, refusal := wsproto.Check(r)
		if refusal != nil {
			return refused(c, refusal)
		}
		if !s.allows(r) {
			return &celeris.HTTPError{Code: http.StatusForbidden, Message: "this origin may not open a WebSocket"}
		}
		x := exchange.From(r.Context())
		if x == nil {
			return errors.New("websocket: the request's context has lost its values; derive it from the one it came with")
		}
		return s.serve(c, x, hello)
	}
}

// refused makes a refusal an error response.
func refused(c *celeris.Context, r *wsproto.Refusal) error {
	maps.Copy(c.Response().Header(), r.Header)
	return &celeris.HTTPError{Code: r.Status, Message: r.Message}
}

// serve accepts a connection and runs it, or has it run when the middleware has unwound.
func (s *settings) serve(c *celeris.Context, x *exchange.Exchange, hello *wsproto.Request) error {
	hijacked := c.Request().ProtoMajor == 1
	if stuck := cannotHijack(c.Response()); hijacked && stuck != nil {
		return &celeris.HTTPError{
			Code: http.StatusInternalServerError,
			Err:  fmt.Errorf("websocket: %T cannot be hijacked: keep it away from this route", stuck),
		}
	}
	client := x.Host().Client(c.Request())
	if err := x.Host().Room(client); err != nil {
		return shed(c, err)
	}
	v := &visit{s: s, x: x, host: x.Host()}
	if v.host != nil {
		if err := v.host.Add(v, client); err != nil {
			return shed(c, err)
		}
	}
	detach := x.Detach
	if hijacked {
		detach = x.Take
	}
	x.Expect([]byte{})
	if err := v.upgrade(c, hello); err != nil {
		v.abandon()
		return err
	}
	if !detach(v.run) {
		v.run(true) // it goes on through what is in the way
	} else if t, ok := v.conn.nc.(*tunnel); ok {
		t.detached(x.Base())
	}
	return nil
}

// shed turns a request away for now.
func shed(c *celeris.Context, why error) error {
	c.Response().Header().Set("Retry-After", strconv.Itoa(5))
	return &celeris.HTTPError{Code: http.StatusServiceUnavailable, Err: refusal{why}}
}

// refusal is why a request was turned away. The server logs its own refusals, all of them in one line at times.
type refusal struct{ error }

// Unwrap serves [errors.Is].
func (r refusal) Unwrap() error { return r.error }

// Logged tells error handlers that there is nothing to log.
func (r refusal) Logged() bool {
	return errors.Is(r.error, exchange.ErrDraining) || errors.Is(r.error, engine.ErrFull)
}

// visit is one connection of a server from its acceptance to its end.
type visit struct {
	s    *settings
	x    *exchange.Exchange
	host *exchange.Host
	ends []func(engine.End)
	// route is known when the middleware has unwound.
	route string

	mu    sync.Mutex // guards what follows
	conn  *Conn      // nil until the handshake is answered
	early *told      // nil without calls that came before
}

// told is the reasons for which a connection is to end that has not begun.
type told struct{ drained, cut error }

var _ engine.Stream = (*visit)(nil)

// abandon takes back what a connection holds that did not begin.
func (v *visit) abandon() {
	if v.host != nil {
		v.host.Ended(engine.End{Reason: engine.ErrPeerGone})
		v.host.Remove(v)
	}
}

// begin makes the connection known.
func (v *visit) begin(c *Conn) {
	if v.host != nil {
		c.pipe.written = v.host.Written()
	}
	c.pipe.maxStall = v.maxStall()
	if c.box == nil {
		c.keepAlive()
	} else {
		c.box.visit = v
	}
	v.mu.Lock()
	v.conn = c
	early := v.early
	v.early = nil
	v.mu.Unlock()
	if early != nil && early.drained != nil {
		v.Drain(early.drained)
	}
	if early != nil && early.cut != nil {
		v.Cut(early.cut)
	}
}

// known returns the connection, or has note called if there is none yet.
func (v *visit) known(note func(*told)) *Conn {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.conn == nil {
		if v.early == nil {
			v.early = &told{}
		}
		note(v.early)
	}
	return v.conn
}

// maxStall is how long the peer may take nothing.
func (v *visit) maxStall() time.Duration {
	d := v.s.MaxStall
	if d == 0 && v.host != nil {
		d = v.host.MaxStall
	}
	return cmp.Or(d, DefaultMaxStall)
}

// Drain implements [engine.Stream]. A handler that reads sees the closing handshake through; for one that doesn't, it is
// done after half the CloseTimeout.
func (v *visit) Drain(reason error) {
	if c := v.known(func(t *told) { t.drained = reason }); c != nil {
		c.goAway(reason)
	}
}

// Cut implements [engine.Stream].
func (v *visit) Cut(reason error) {
	if c := v.known(func(t *told) { t.cut = reason }); c != nil {
		c.cut(reason)
	}
}

// run calls the handler and sees the connection to its end. With ok false the middleware around has panicked.
func (v *visit) run(ok bool) {
	v.ends = v.x.Ends()
	c := v.conn
	if c.box != nil {
		v.runBox(ok)
		return
	}
	leave := func() {}
	if v.host != nil {
		leave = v.host.Enter(v.x.Route())
	}
	defer leave()
	// All of it is deferred: user code may end its goroutine with runtime.Goexit.
	defer v.over()
	if !ok {
		c.shut(&CloseError{Code: StatusInternalError, Local: true}, engine.ErrAbandoned)
		return
	}
	defer func() {
		if p := recover(); p != nil {
			c.panicked("Handler", p)
			c.shut(&CloseError{Code: StatusInternalError, Local: true}, fmt.Errorf("%w: %v", ErrPanicked, p))
		}
	}()
	v.s.Handler(c)
}

// over closes the connection and tells everybody.
func (v *visit) over() {
	c := v.conn
	c.shut(&CloseError{Code: StatusNormalClosure, Local: true}, nil)
	c.await()
	c.hangUp()
	end := engine.End{Reason: c.why(), Bytes: c.pipe.bytes.Load(), Duration: time.Since(c.born)}
	if v.host != nil {
		v.host.Ended(end)
		defer v.host.Remove(v)
	}
	for _, f := range slices.Backward(v.ends) {
		defer c.contain("OnStreamEnd", func() { f(end) }) //nolint:gocritic // all run when the connection is over
	}
}
