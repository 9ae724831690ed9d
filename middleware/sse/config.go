package sse

import (
	"cmp"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/goceleris/celeris"
	"github.com/goceleris/celeris/internal/fanout"
	"github.com/goceleris/celeris/internal/park"
	"github.com/goceleris/celeris/internal/ratelog"
)

// ClientPolicy is what [Client.Send] does when the client's queue is full.
type ClientPolicy int

// Policies for clients whose queue is full.
const (
	// ClientPolicyBlock waits for room, or for the end of the stream.
	ClientPolicyBlock ClientPolicy = iota
	// ClientPolicyDrop gives the event up with [ErrQueueFull]; before its next private event the client gets a resync
	// event with reason "private" and no id.
	ClientPolicyDrop
	// ClientPolicyClose ends the stream: what is queued goes out, then the farewell.
	ClientPolicyClose
)

// Defaults of [Config].
const (
	DefaultHeartbeatInterval = 15 * time.Second
	DefaultRetryInterval     = 3 * time.Second
	DefaultRetryJitter       = 5 * time.Second
	DefaultMaxQueueDepth     = 256
	DefaultMaxQueueBytes     = 1 << 20
)

// Config configures [New]. Either Handler or Broker is set.
type Config struct {
	// Handler writes to one client, on a goroutine of its own. The stream ends when it returns, after all that it
	// sent. It should return when the client's context ends; one that doesn't is left behind and reported by the
	// server's Shutdown. A panic ends that stream only.
	Handler func(*Client)

	// Broker serves its topics to the client; the stream lasts until something ends it.
	Broker *Broker
	// Topics says which topics a request follows. Nil means the topic "". An error becomes the response.
	Topics func(*celeris.Context) ([]string, error)

	// ReplayStore keeps what Handler sends, so that a client resumes where it was: see ReplayKey.
	ReplayStore ReplayStore
	// ReplayKey names the history of this request: a user, a conversation. Everything sent by clients with one key goes
	// into one history, gets ids, and reaches all clients with that key. It goes with ReplayStore and Handler. An
	// error becomes the response; the empty key is one.
	ReplayKey func(*celeris.Context) (string, error)

	// HeartbeatInterval is how long a stream may be silent. Zero means 15 s.
	HeartbeatInterval time.Duration
	// RetryInterval is the reconnection time that every stream begins with. Zero means 3 s.
	RetryInterval time.Duration
	// RetryJitter is the random part that a farewell adds to RetryInterval, so that clients don't return all at once.
	// Zero means 5 s.
	RetryJitter time.Duration
	// MaxQueueDepth bounds how many private events wait for a client. Zero means 256.
	MaxQueueDepth int
	// MaxQueueBytes bounds them in bytes too; one event always has room. Zero means 1 MiB.
	MaxQueueBytes int
	// MaxEventBytes bounds one private event in its wire form. Zero means 1 MiB.
	MaxEventBytes int
	// OnSlowClient decides about an event that finds the queue full, on the sender's goroutine. Nil means
	// ClientPolicyBlock. A panic counts as ClientPolicyDrop.
	OnSlowClient func(*Client) ClientPolicy
	// MaxAge ends streams with a farewell after this time: tokens expire, load is balanced anew. Zero means never.
	MaxAge time.Duration
	// Farewell is sent last when the server or the broker shuts down, a policy closes the stream or MaxAge is
	// reached. Its ID must be empty.
	Farewell *Event

	// OnConnect runs before the response begins; an error becomes the response. It may subscribe the client to topics
	// of a broker.
	OnConnect func(*Client) error
	// OnDisconnect runs once, after the stream has ended and Handler has returned, if OnConnect accepted the client. The
	// client's context has ended before. It may block, but one that never returns is left behind and reported by the
	// server's Shutdown. Where the stream has no goroutine, [celeris.Config.MaxCallbacks] bounds how many run at once, and
	// others wait for their turn.
	OnDisconnect func(c *Client, reason error)

	// Logger gets panics of user code, and streams that stalled, of these one line in 10 s at most. Nil means
	// [slog.Default].
	Logger *slog.Logger
}

// settings are a Config with its defaults.
type settings struct {
	Config
	farewell []byte
	keys     *keys // of ReplayKey
	pace     atomic.Pointer[park.Pace]
	stalls   *ratelog.Limiter
}

// settle checks a Config. Mistakes panic: they are the programmer's.
func settle(cfg Config) *settings {
	fail := func(format string, args ...any) { panic("sse: New: " + fmt.Sprintf(format, args...)) }
	switch {
	case cfg.Handler == nil && cfg.Broker == nil:
		fail("neither Handler nor Broker is set: set Broker to serve its topics, or Handler to write to each client")
	case cfg.Handler != nil && cfg.Broker != nil:
		fail("both Handler and Broker are set: a Handler subscribes its client with Broker.Subscribe")
	case cfg.Topics != nil && cfg.Broker == nil:
		fail("Topics is set without Broker")
	case (cfg.ReplayStore == nil) != (cfg.ReplayKey == nil):
		fail("ReplayStore and ReplayKey go together")
	case cfg.ReplayKey != nil && cfg.Broker != nil:
		fail("ReplayKey goes with Handler: a Broker has its own history")
	}
	for name, v := range map[string]int64{
		"HeartbeatInterval": int64(cfg.HeartbeatInterval), "RetryInterval": int64(cfg.RetryInterval),
		"RetryJitter": int64(cfg.RetryJitter), "MaxQueueDepth": int64(cfg.MaxQueueDepth),
		"MaxEventBytes": int64(cfg.MaxEventBytes), "MaxQueueBytes": int64(cfg.MaxQueueBytes), "MaxAge": int64(cfg.MaxAge),
	} {
		if v < 0 {
			fail("%s is negative", name)
		}
	}
	s := &settings{Config: cfg, stalls: ratelog.New(logEvery)}
	s.HeartbeatInterval = cmp.Or(cfg.HeartbeatInterval, DefaultHeartbeatInterval)
	s.RetryInterval = cmp.Or(cfg.RetryInterval, DefaultRetryInterval)
	s.RetryJitter = cmp.Or(cfg.RetryJitter, DefaultRetryJitter)
	s.MaxQueueDepth = cmp.Or(cfg.MaxQueueDepth, DefaultMaxQueueDepth)
	s.MaxQueueBytes = cmp.Or(cfg.MaxQueueBytes, DefaultMaxQueueBytes)
	s.MaxEventBytes = cmp.Or(cfg.MaxEventBytes, fanout.DefaultMaxFrame)
	if s.Logger == nil {
		s.Logger = slog.Default()
	}
	if cfg.Farewell != nil {
		p, err := Prepare(*cfg.Farewell)
		if err != nil {
			fail("Farewell: %v", err)
		}
		s.farewell = p.wire
	}
	if cfg.ReplayStore != nil {
		s.keys = newKeys(cfg.ReplayStore, s.Logger)
	}
	return s
}
