package sse

import (
	"context"
	"errors"
	"math/rand/v2"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"
	"unicode/utf8"

	"github.com/goceleris/celeris/internal/exchange"
	"github.com/goceleris/celeris/internal/fanout"
	"github.com/goceleris/celeris/internal/packed"
)

// Client is one open stream. All methods may be called by any number of goroutines, at any time, also after the
// stream has ended; a Client is never used for another stream.
type Client struct {
	cfg     *settings
	member  *fanout.Member
	key     *keyed // with ReplayKey
	started atomic.Bool
	ended   atomic.Bool
	dropped atomic.Int64

	mu     sync.Mutex // guards what follows
	req    *http.Request
	packed packed.Request // instead of req; then origin has the rest of its context's values
	origin context.Context
	life   *life // nil until somebody asks for it
	reason error // why it ended
	values map[string]any
}

// life is a client's context.
type life struct {
	ctx    context.Context
	cancel context.CancelCauseFunc
}

func (c *Client) init(cfg *settings, r *http.Request) {
	c.cfg, c.req = cfg, r
}

// pack keeps the request of a stream that goes on without its connection in as few bytes as can be.
func (c *Client) pack(x *exchange.Exchange, local net.Addr) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if p, ok := packed.Pack(c.req, local); ok {
		origin, ok := x.Origin(c.req.Context())
		if !ok { // somebody has put values into it
			origin = context.WithoutCancel(c.req.Context())
		}
		c.req, c.packed, c.origin = nil, p, origin
		return
	}
	if c.req.Body != http.NoBody { // it would keep the buffers of its connection
		r := c.req.WithContext(c.req.Context())
		r.Body = http.NoBody
		c.req = r
	}
}

// expire ends the client's context.
func (c *Client) expire(reason error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ended.Store(true)
	c.reason = reason
	if c.life != nil {
		c.life.cancel(reason)
	}
}

// lastEventID is the header of this name or, for clients that cannot set one, the query parameter of that name in any
// case, with or without hyphens or underscores. The header wins: a browser repeats the query of its first request.
func lastEventID(r *http.Request) string {
	if v := r.Header.Get("Last-Event-Id"); v != "" {
		return v
	}
	for name, v := range r.URL.Query() {
		if len(v) > 0 && strings.EqualFold(strings.Map(noBreak, name), "lasteventid") {
			return v[0]
		}
	}
	return ""
}

func noBreak(r rune) rune {
	if r == '-' || r == '_' {
		return -1
	}
	return r
}

// LastEventID is the position that the client came with, or "".
func (c *Client) LastEventID() string { return lastEventID(c.Request()) }

// Request is the request that the stream began with, or one like it: a parked stream keeps it in a packed form and makes
// a new one for each call. Its body is over; its context is, or is that of the client. PathValue works for the wildcards
// of its route.
func (c *Client) Request() *http.Request {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.req != nil {
		return c.req
	}
	return c.packed.Unpack(c.context())
}

// RemoteAddr is the network address that the request came from.
func (c *Client) RemoteAddr() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.req != nil {
		return c.req.RemoteAddr
	}
	return c.packed.RemoteAddr()
}

// Context has the values of the request's context and ends with the stream; [context.Cause] then tells the reason.
func (c *Client) Context() context.Context {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.context()
}

// context is Context under mu.
func (c *Client) context() context.Context {
	if c.life == nil {
		c.life = &life{}
		var values context.Context
		if c.req != nil {
			values = context.WithoutCancel(c.req.Context())
		} else {
			values = c.packed.Context(context.WithoutCancel(c.origin))
		}
		c.life.ctx, c.life.cancel = context.WithCancelCause(values)
		if c.ended.Load() {
			c.life.cancel(c.reason)
		}
	}
	return c.life.ctx
}

// DroppedEvents returns how many sends gave their event up.
func (c *Client) DroppedEvents() int64 { return c.dropped.Load() }

// QueueDepth returns how many private events wait for the connection.
func (c *Client) QueueDepth() int { return c.member.Depth() }

// Set keeps a value for this client.
func (c *Client) Set(key string, value any) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.values == nil {
		c.values = make(map[string]any)
	}
	c.values[key] = value
}

// Get returns what Set kept, and whether there is something.
func (c *Client) Get(key string) (any, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	v, ok := c.values[key]
	return v, ok
}

// Close ends the stream at the end of the event that is being sent, after the private events that were sent before.
// It does not wait.
func (c *Client) Close() { c.member.Finish(nil, nil, c.key != nil) }

// Send queues an event for this client alone: it goes out after everything that was published before the call to the
// topics the client follows, and before everything later. With a ReplayKey it goes to all clients of that key and into
// their history.
//
// When MaxQueueDepth events or MaxQueueBytes wait already, OnSlowClient decides. Errors: [EncodeError], [ErrEventTooLarge],
// [ErrIDReserved] for an ID where ids are positions, [ErrNotStarted], [ErrClientClosed], [ErrQueueFull], and what a
// ReplayStore answers.
func (c *Client) Send(e Event) error {
	if e.ID != "" && (c.key != nil || c.member.Core() != nil) {
		return ErrIDReserved
	}
	if len(e.Data) > c.cfg.MaxEventBytes {
		return ErrEventTooLarge
	}
	frame, err := e.wire()
	if err != nil {
		return err
	}
	if c.key != nil {
		return c.record(e, frame)
	}
	return c.send(frame)
}

// SendPrepared is [Client.Send] for an event that is formatted already.
func (c *Client) SendPrepared(p *PreparedEvent) error {
	if c.key != nil {
		return c.record(p.Event(), p.wire)
	}
	return c.send(p.wire)
}

// SendComment queues a comment, which browsers ignore; each line of text becomes one of its own.
func (c *Client) SendComment(text string) error {
	if !utf8.ValidString(text) {
		return &EncodeError{Field: "comment", Reason: "invalid UTF-8"}
	}
	text = strings.ReplaceAll(strings.ReplaceAll(text, "\r\n", "\n"), "\r", "\n")
	var b []byte
	for line := range strings.SplitSeq(text, "\n") {
		b = append(b, ": "...)
		b = append(b, line...)
		b = append(b, '\n')
	}
	return c.send(append(b, '\n'))
}

// record puts an event into the history of the client's key.
func (c *Client) record(e Event, frame []byte) error {
	if err := c.open(len(frame)); err != nil {
		return err
	}
	e.ID = ""
	return publicError(c.key.append(c.Context(), e, frame))
}

// open reports whether the stream takes an event of that size now.
func (c *Client) open(size int) error {
	switch {
	case size > c.cfg.MaxEventBytes:
		return ErrEventTooLarge
	case c.ended.Load():
		return ErrClientClosed
	case !c.started.Load():
		return ErrNotStarted
	}
	return nil
}

func (c *Client) send(frame []byte) error {
	if err := c.open(len(frame)); err != nil {
		return err
	}
	asked, policy := false, ClientPolicyBlock
	for {
		err := c.member.Send(frame)
		if !errors.Is(err, fanout.ErrQueueFull) {
			if asked {
				c.member.PassRoom()
			}
			return publicError(err)
		}
		if !asked {
			asked, policy = true, c.policy()
		}
		switch policy {
		case ClientPolicyDrop:
			c.member.Lose()
			c.dropped.Add(1)
			return ErrQueueFull
		case ClientPolicyClose:
			c.dropped.Add(1)
			c.say(ErrSlowClient, false)
			return ErrClientClosed
		}
		select {
		case <-c.member.Room():
		case <-c.Context().Done():
			return ErrClientClosed
		}
	}
}

// policy asks OnSlowClient. Send never panics.
func (c *Client) policy() (p ClientPolicy) {
	if c.cfg.OnSlowClient == nil {
		return ClientPolicyBlock
	}
	defer func() {
		if v := recover(); v != nil {
			c.panicked("OnSlowClient", v)
			p = ClientPolicyDrop
		}
	}()
	return c.cfg.OnSlowClient(c)
}

// follow opens topics of a broker, or joins more.
func (c *Client) follow(b *Broker, topics []string) error {
	if c.key != nil {
		return fanout.ErrOtherCore
	}
	core := b.core
	switch has := c.member.Core(); {
	case has == nil, !c.started.Load():
		err := b.openAt(c.Context(), c.member, c.LastEventID(), topics)
		if !errors.Is(err, fanout.ErrOtherCore) || c.member.Core() != core {
			return err
		}
	}
	return core.Join(c.member, topics...)
}

// farewell is the last frame of a stream.
func (c *Client) farewell(retry time.Duration, event []byte) []byte {
	if retry == 0 {
		retry = c.cfg.RetryInterval + rand.N(c.cfg.RetryJitter)
	}
	return append(append(appendRetry(nil, retry), '\n'), event...)
}

// owner is the client as its member sees it.
type owner Client

var _ fanout.Owner = (*owner)(nil)

// Farewell implements [fanout.Owner].
func (o *owner) Farewell(error) []byte { return (*Client)(o).farewell(0, o.cfg.farewell) }

// Lost implements [fanout.Owner].
func (o *owner) Lost(n int) []byte {
	return framing{}.AppendNotice(nil, fanout.Notice{Reason: fanout.Private, Dropped: n})
}

func clientOf(m *fanout.Member) *Client { return (*Client)(m.Owner().(*owner)) }

// say ends the stream with its farewell; with due, after all that is published so far.
func (c *Client) say(reason error, due bool) {
	c.member.Finish(reason, c.farewell(0, c.cfg.farewell), due)
}
