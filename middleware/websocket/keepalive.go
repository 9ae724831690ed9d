package websocket

import (
	"context"
	"encoding/binary"
	"errors"
	"sync"
	"time"

	"github.com/goceleris/celeris/internal/wsproto"
)

// pings are those that somebody waits for.
type pings struct {
	mu      sync.Mutex // guards what follows
	last    uint64
	waiting map[uint64]chan struct{}
}

// begin numbers a ping.
func (p *pings) begin() (n uint64, pong chan struct{}) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.waiting == nil {
		p.waiting = make(map[uint64]chan struct{})
	}
	p.last++
	pong = make(chan struct{})
	p.waiting[p.last] = pong
	return p.last, pong
}

func (p *pings) end(n uint64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.waiting, n)
}

// answered takes the payload of a pong. It answers that ping and all before it, RFC 6455 5.5.3.
func (p *pings) answered(payload []byte) {
	if len(payload) != 8 {
		return
	}
	upTo := binary.BigEndian.Uint64(payload)
	p.mu.Lock()
	defer p.mu.Unlock()
	if upTo > p.last {
		return
	}
	for n, pong := range p.waiting {
		if n <= upTo {
			close(pong)
			delete(p.waiting, n)
		}
	}
}

// Ping sends a ping behind all that was sent before and waits for its pong, which comes only if somebody reads from the
// connection. Errors: [ErrClosed], [ErrBacklog], the cause of ctx, and the reason for which the connection ended.
func (c *Conn) Ping(ctx context.Context) error {
	n, pong := c.ping.begin()
	defer c.ping.end(n)
	f := wsproto.Frame{Opcode: wsproto.Ping, Fin: true, Masked: c.cfg.client}
	if f.Masked {
		f.Key = newKey()
	}
	if _, err := c.sendFrame(wsproto.AppendFrame(nil, f, binary.BigEndian.AppendUint64(nil, n))); err != nil {
		return err
	}
	select {
	case <-pong:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-c.Context().Done():
		return context.Cause(c.Context())
	}
}

// keepAlive begins to look after a silent peer.
func (c *Conn) keepAlive() {
	c.heard.Store(time.Now().UnixNano())
	if c.cfg.NoKeepalive {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.beat = time.AfterFunc(c.cfg.PingInterval, c.tick)
}

// tick is called when the peer may have been silent for long enough.
func (c *Conn) tick() {
	if c.ended() == nil && !c.alive(time.Now()) {
		c.cut(ErrPongTimeout)
	}
}

// alive pings a peer that is silent, and reports false if it was for too long.
func (c *Conn) alive(now time.Time) bool {
	heard := time.Unix(0, c.heard.Load())
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.pinged.After(heard) {
		c.pinged = time.Time{}
	}
	if quiet := now.Sub(heard); quiet < c.cfg.PingInterval {
		c.beat.Reset(c.cfg.PingInterval - quiet)
		return true
	}
	// A pong that nobody reads is no fault of the peer.
	if since := c.waiting.Load(); since != 0 && !c.pinged.IsZero() {
		wait := c.cfg.PongTimeout - now.Sub(later(c.pinged, time.Unix(0, since)))
		if wait > 0 {
			c.beat.Reset(wait)
		}
		return wait > 0
	}
	if c.pinged.IsZero() {
		c.pinged = now
	}
	c.pipe.probe()
	c.beat.Reset(c.cfg.PongTimeout)
	return true
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// CloseRead has a goroutine read from the connection from here on, for a handler that only writes: pings are answered,
// and the returned context ends with the connection. A message closes the connection with 1008. The goroutine ends with
// the connection.
func (c *Conn) CloseRead() context.Context {
	if c.in == nil { // OnMessage reads
		return c.Context()
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.over {
		return c.Context()
	}
	c.readers.Go(func() {
		if _, _, err := c.NextReader(c.Context()); err != nil {
			return
		}
		c.shut(&CloseError{Code: StatusPolicyViolation, Reason: "unexpected message", Local: true}, errUnexpected)
		for {
			if _, _, err := c.NextReader(c.Context()); err != nil {
				return
			}
		}
	})
	return c.Context()
}

var errUnexpected = errors.New("websocket: the peer sent a message where none was expected")
