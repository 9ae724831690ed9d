package sse

import (
	"cmp"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"slices"

	"github.com/goceleris/celeris"
	"github.com/goceleris/celeris/engine"
	"github.com/goceleris/celeris/engine/std"
	"github.com/goceleris/celeris/internal/exchange"
	"github.com/goceleris/celeris/internal/fanout"
	"github.com/goceleris/celeris/internal/park"
)

// New returns a handler that answers with an event stream; it also serves plain net/http. A mistake in cfg panics.
//
// A request that does not accept text/event-stream gets 406, one whose writer can't flush 500, and HEAD the headers
// of a stream, without asking Topics or OnConnect. The headers reach the client at once, with the reconnection time and,
// with a broker, the position from which the stream goes on. Middleware around the handler unwinds when the stream has begun, unless it transforms
// what is written: then it stays in the way until the stream has ended.
func New(cfg Config) celeris.HandlerFunc {
	s := settle(cfg)
	return func(c *celeris.Context) error {
		r := c.Request()
		if !acceptsStream(r) {
			return &celeris.HTTPError{Code: http.StatusNotAcceptable, Message: "this resource is a text/event-stream"}
		}
		w := c.Response()
		if stuck := cannotFlush(w); stuck != nil {
			return &celeris.HTTPError{
				Code: http.StatusInternalServerError,
				Err:  fmt.Errorf("sse: %T cannot flush: no event would reach the client; keep it away from this route", stuck),
			}
		}
		if r.Method == http.MethodHead {
			streamHeader(w.Header(), r)
			w.WriteHeader(http.StatusOK)
			return nil
		}
		if x := exchange.From(r.Context()); x != nil {
			return s.serve(c, x)
		}
		return errors.New("sse: the request's context has lost its values; derive it from the one it came with")
	}
}

// serve accepts a stream and runs it, or has it run when the middleware has unwound.
func (s *settings) serve(c *celeris.Context, x *exchange.Exchange) error {
	client := x.Host().Client(c.Request())
	if err := x.Host().Room(client); err != nil {
		return s.shed(c, err)
	}
	v := s.visit(c, x)
	if err := v.admit(c, client); err != nil {
		switch {
		case errors.Is(err, fanout.ErrClosed), errors.Is(err, ErrClosed), errors.Is(err, exchange.ErrDraining), errors.Is(err, engine.ErrFull):
			return s.shed(c, err)
		case errors.Is(err, fanout.ErrTooManyTopics), errors.Is(err, ErrTooManyTopics):
			return &celeris.HTTPError{Code: http.StatusServiceUnavailable, Err: publicError(err)}
		}
		return err
	}
	handed := false
	defer func() {
		if !handed { // the middleware's writer panicked
			v.run(false)
		}
	}()
	streamHeader(c.Response().Header(), c.Request())
	opening := v.opening()
	x.Expect(opening)
	v.started.Store(true)
	if err := v.stream.Open(opening); err != nil {
		v.member.Finish(err, nil, false)
	}
	if s.Handler != nil {
		v.handle()
	}
	handed = true
	if v.detached = x.Detach(v.run); v.detached {
		v.stream.Detached()
	} else {
		v.run(true)
	}
	return nil
}

// visit is one stream from its acceptance to its end.
type visit struct {
	Client
	x        *exchange.Exchange // nil once it is parked, as is stream
	stream   *std.Stream
	host     *exchange.Host
	after    *after // nil if nothing takes time at the end
	admitted bool
	detached bool
	done     chan struct{} // closed when the stream has ended; nil unless Handler's goroutine was started, which then runs OnDisconnect
}

var _ park.Owner = (*visit)(nil)

// beat is a comment: it breaks a silence where there is no position to tell.
var beat = []byte(":\n\n")

func (s *settings) visit(c *celeris.Context, x *exchange.Exchange) *visit {
	v := &visit{x: x, host: x.Host()}
	v.init(s, c.Request())
	cfg := std.Config{
		Context: x.Request().Context(), Base: x.Base(), Out: c.Response(),
		Heartbeat: s.HeartbeatInterval, Beat: beat,
		MaxAge: s.MaxAge, OnAge: v.OnAge, NoBody: x.Request().Body == http.NoBody,
	}
	if v.host != nil {
		cfg.MaxStall, cfg.Written = v.host.MaxStall, v.host.Written()
	}
	v.stream = std.New(cfg, c.Request().ProtoMajor)
	v.member = fanout.NewMember(v.stream, (*owner)(&v.Client), s.MaxQueueDepth)
	v.member.LimitQueue(s.MaxQueueBytes)
	return v
}

// admit does what can still become an error response.
func (v *visit) admit(c *celeris.Context, client netip.Addr) (err error) {
	defer func() {
		if !v.admitted {
			v.reject(cmp.Or(err, ErrPanicked))
		}
	}()
	s, lastID := v.cfg, v.LastEventID()
	if s.Broker != nil {
		topics := defaultTopic
		if s.Topics != nil {
			if topics, err = s.Topics(c); err != nil {
				return err
			}
		}
		if err := s.Broker.openAt(c.Context(), v.member, lastID, topics); err != nil {
			return err
		}
	}
	if s.ReplayKey != nil {
		name, err := s.ReplayKey(c)
		if err != nil {
			return err
		}
		if v.key, err = s.keys.acquire(c.Context(), name); err != nil {
			return err
		}
		v.key.mirror.meet(c.Context(), lastID)
		if err := v.key.mirror.core.Open(v.member, lastID, ""); err != nil {
			return err
		}
	}
	if s.OnConnect != nil {
		if err := s.OnConnect(&v.Client); err != nil {
			return err
		}
	}
	if v.host != nil {
		if err := v.host.Add((*drain)(v), client); err != nil {
			if s.OnConnect != nil {
				reason := engine.ErrShutdown
				if errors.Is(err, engine.ErrFull) {
					reason = engine.ErrFull
				}
				v.disconnected(reason)
			}
			return err
		}
	}
	v.admitted = true
	return nil
}

// reject takes back what a stream holds that did not begin.
func (v *visit) reject(err error) {
	v.stream.Abandon() // before the response goes on without it
	v.expire(givenReason(v.member.End(err)))
	if v.key != nil {
		v.key.release()
	}
}

// opening is the first block of the stream.
func (v *visit) opening() []byte {
	b := appendRetry(nil, v.cfg.RetryInterval)
	if epoch, p, ok := v.member.Start(); ok {
		b = framing{}.AppendStamp(b, epoch, p)
	} else {
		b = appendPlace(b, v.LastEventID())
	}
	return append(b, '\n')
}

// handle runs the Handler on a goroutine of its own, and OnDisconnect behind it.
func (v *visit) handle() {
	v.done = make(chan struct{})
	leave := func() {}
	if v.host != nil {
		leave = v.host.Enter(v.x.Route())
	}
	go func() {
		// All of it is deferred: Handler may end its goroutine with runtime.Goexit.
		defer leave()
		defer func() {
			<-v.done
			v.disconnected(v.reason) // it is set by now
		}()
		defer func() {
			if p := recover(); p != nil {
				v.panicked("Handler", p)
				v.member.Finish(fmt.Errorf("%w: %v", ErrPanicked, p), nil, false)
			}
			v.member.Finish(nil, nil, true)
		}()
		v.cfg.Handler(&v.Client)
	}()
}

// after is what may take its time when a stream has ended.
type after struct {
	route string
	ends  []func(engine.End)
}

func (v *visit) afterwards() *after {
	if ends := v.x.Ends(); len(ends) > 0 || v.key != nil || v.done == nil && v.cfg.OnDisconnect != nil {
		return &after{route: v.x.Route(), ends: ends}
	}
	return nil
}

// run drives the stream to its end, or parks it. With ok false the middleware panicked before it could begin.
func (v *visit) run(ok bool) {
	v.after = v.afterwards()
	if !ok {
		v.member.Cut(engine.ErrAbandoned)
	} else if v.park() {
		return
	}
	end, clean := v.stream.Run(v.member)
	if clean && v.detached && v.x.Request().ProtoMajor == 1 && v.x.Bare() {
		std.Linger(v.x.Conn())
	}
	v.ended(end)
}

// OnAge implements [park.Owner].
func (v *visit) OnAge() { v.say(ErrMaxAge, true) }

// ended is over and tell on the goroutine that ran the stream.
func (v *visit) ended(end engine.End) {
	end = v.over(end)
	if v.host != nil && v.after != nil && v.detached { // else it counts as part of its request
		defer v.host.Enter(v.after.route)()
	}
	v.tell(end)
}

// over ends what lives as long as the stream. It does not block and runs no code of the application.
func (v *visit) over(end engine.End) engine.End {
	end.Reason = publicReason(end.Reason)
	given := givenReason(end.Reason)
	v.expire(given)
	if v.done != nil {
		close(v.done)
	}
	if v.host != nil {
		v.host.Ended(end)
	}
	v.logStall(end)
	end.Reason = given
	return end
}

// tell gives back what the stream held and tells everybody that it is over.
func (v *visit) tell(end engine.End) {
	// All of it is deferred: a callback may end its goroutine with runtime.Goexit.
	if v.host != nil {
		defer v.host.Remove((*drain)(v))
	}
	if v.key != nil {
		v.key.release()
	}
	if v.after == nil {
		return
	}
	for _, f := range slices.Backward(v.after.ends) {
		defer v.contain("OnStreamEnd", func() { f(end) }) //nolint:gocritic // all run when the stream has ended
	}
	if v.done == nil {
		v.disconnected(end.Reason)
	}
}

// disconnected runs OnDisconnect.
func (v *visit) disconnected(reason error) {
	if f := v.cfg.OnDisconnect; f != nil {
		v.contain("OnDisconnect", func() { f(&v.Client, reason) })
	}
}
