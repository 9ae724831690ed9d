package native

import (
	"log/slog"
	"net"
	"runtime"
	"sync"
	"sync/atomic"

	"github.com/goceleris/celeris/engine"
	"github.com/goceleris/celeris/engine/internal/shard"
	"github.com/goceleris/celeris/internal/fanout"
	"github.com/goceleris/celeris/internal/park"
)

// Config is what an engine is made from.
type Config struct {
	park.Options
	Name string
	// Send returns how a shard sends, and what is called when it has ended.
	Send func(log *slog.Logger) (send func(ops []shard.Op), end func(), err error)
}

// Engine is a few shards, each with a poller. Its methods may be called from any goroutine.
type Engine struct {
	cfg    Config
	shards []*part
	turn   atomic.Uint32
	close  func()
}

var _ park.Engine = (*Engine)(nil)

// part is a shard and what it sends with.
type part struct {
	*Poller
	send  func(ops []shard.Op)
	end   func()
	shard *shard.Shard
}

// Send implements [shard.Backend].
func (p *part) Send(ops []shard.Op) {
	bare := 0 // the first of those that were not sent
	for i := range ops {
		c := ops[i].Conn.(*Conn)
		if c.tls == nil {
			continue
		}
		if bare < i {
			p.send(ops[bare:i])
		}
		bare = i + 1
		c.offer(&ops[i])
	}
	if bare < len(ops) {
		p.send(ops[bare:])
	}
}

// New returns an engine that leaves one processor to publishers, where there are two.
func New(cfg Config) (*Engine, error) {
	if cfg.Logger == nil {
		cfg.Logger = slog.Default()
	}
	if cfg.SendBuffer == 0 {
		cfg.SendBuffer = sendBuffer
	}
	e := &Engine{cfg: cfg}
	for range max(1, runtime.GOMAXPROCS(0)-1) {
		p, err := newPart(cfg)
		if err != nil {
			e.end()
			return nil, err
		}
		e.shards = append(e.shards, p)
	}
	e.close = sync.OnceFunc(e.end)
	return e, nil
}

func newPart(cfg Config) (*part, error) {
	poller, err := NewPoller(cfg.Logger)
	if err != nil {
		return nil, err
	}
	p := &part{Poller: poller}
	if p.send, p.end, err = cfg.Send(cfg.Logger); err != nil {
		poller.Close()
		return nil, err
	}
	p.shard = shard.New(p)
	return p, nil
}

// Name implements [park.Engine].
func (e *Engine) Name() string { return e.cfg.Name }

// Parks reports whether c is exactly a [net.TCPConn] or a [net.UnixConn], or speaks TLS over one behind a [tlsgate.Gate].
func (e *Engine) Parks(c net.Conn) bool { return parks(c) }

// Park implements [park.Engine].
func (e *Engine) Park(c net.Conn, m *fanout.Member, p park.Parking) park.Driver {
	part := e.shards[e.turn.Add(1)%uint32(len(e.shards))]
	conn, early, err := take(c, p.MaxStall, e.cfg.SendBuffer, p.Inbound != nil)
	p.Early = append(p.Early, early...)
	if err != nil { // it is closed
		conn = &Conn{fd: -1, keep: c}
	}
	conn.poller = part.Poller
	return part.shard.Park(conn, m, p)
}

// Stats implements [park.Engine].
func (e *Engine) Stats() engine.Stats {
	sum := engine.Stats{Shards: len(e.shards)}
	for _, p := range e.shards {
		s := p.shard.Stats()
		sum.Streams += s.Streams
		sum.Refused += s.Refused
		sum.Passes += s.Passes
		sum.Sends += s.Sends
		sum.Refusals += s.Refusals
		sum.Bytes += s.Bytes
		sum.Received += s.Received
	}
	return sum
}

// Close implements [park.Engine].
func (e *Engine) Close() { e.close() }

func (e *Engine) end() {
	for _, p := range e.shards {
		p.shard.Close()
		p.Poller.Close()
		p.end()
	}
}
