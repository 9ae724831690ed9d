package sse

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"iter"
	"net/http"
	"sync"
	"time"
)

// Defaults of [ConnectOptions].
const (
	DefaultBackoff    = time.Second
	DefaultMaxBackoff = 30 * time.Second
)

// ConnectOptions are the choices of [Connect]. The zero value works.
type ConnectOptions struct {
	// Client sends the requests. Its Timeout is not applied: it would cut every stream; see IdleTimeout. Nil means
	// [http.DefaultClient].
	Client *http.Client

	// LastEventID is where an earlier stream ended. Empty means the request's own Last-Event-ID header, if it has one.
	LastEventID string

	// MaxEventBytes bounds one event and each of its lines, as in [ReaderOptions]. A longer one ends the events with
	// [ErrEventTooLarge]: it would come again. Zero means 1 MiB.
	MaxEventBytes int

	// Retry is the reconnection time until the server sets one. Zero means 3 s.
	Retry time.Duration
	// Backoff bounds the random part of the wait after a stream that was open. It doubles with each attempt that fails
	// after that. Zero means 1 s.
	Backoff time.Duration
	// MaxBackoff is what Backoff grows to. Zero means 30 s.
	MaxBackoff time.Duration
	// MaxAttempts is how many attempts in a row may fail; the error of the last one then ends the events. Zero means any
	// number.
	MaxAttempts int
	// RetryStatus says for which status of a response to try again, not before its Retry-After. Nil means for none, as
	// the standard demands: each but 200 is final. [IsTemporary] is a common choice.
	RetryStatus func(status int) bool

	// IdleTimeout is how long the server may send nothing, before the response's header as well, until the client
	// reconnects. Heartbeats should be at most half as far apart. Zero means for ever.
	IdleTimeout time.Duration

	// OnOpen, if set, is called when a stream has opened, before its first event. The body of the response is not its
	// to use.
	OnOpen func(*http.Response)
	// OnReconnect, if set, is called before each wait for another attempt.
	OnReconnect func(Reconnect)
}

// Reconnect says why and when an [EventSource] connects again.
type Reconnect struct {
	// Err is why the stream ended or the attempt failed: [io.EOF] if the server ended the response in order,
	// [ErrIdleTimeout], a [*ResponseError] that RetryStatus lets pass, or what the network said.
	Err error
	// Failed counts the attempts that have failed since the stream was open: 0 if it was until now.
	Failed int
	// Wait is the time until the next attempt.
	Wait time.Duration
	// LastEventID is what it will ask for.
	LastEventID string
}

// ReadyState is the state of an [EventSource], named as in WHATWG HTML 9.2.2.
type ReadyState int

// States of an [EventSource].
const (
	// ReadyStateClosed means that nobody ranges over the events.
	ReadyStateClosed ReadyState = iota
	// ReadyStateConnecting means that an attempt is under way or waited for.
	ReadyStateConnecting
	// ReadyStateOpen means that the server has answered with a stream.
	ReadyStateOpen
)

// String returns the state in lower case.
func (s ReadyState) String() string {
	switch s {
	case ReadyStateClosed:
		return "closed"
	case ReadyStateConnecting:
		return "connecting"
	case ReadyStateOpen:
		return "open"
	}
	return fmt.Sprintf("ReadyState(%d)", int(s))
}

// EventSource follows an event stream across reconnections. [Connect] makes one. One goroutine at a time may range over
// its events; the other methods may be called by any.
type EventSource struct {
	ctx     context.Context
	request *http.Request
	client  *http.Client
	opts    ConnectOptions

	mu       sync.Mutex // guards what follows
	state    ReadyState
	running  bool
	bodySent bool
	lastID   string
	retry    time.Duration
}

// Connect returns the events that r asks for; it connects when they are ranged over. ctx takes the place of r's own.
// A stream may be asked for with any method. A body is sent again with each attempt, which takes r.GetBody; r and its
// header are copied. Accept and Cache-Control are set unless they are there. Mistakes in opts panic, nil means the
// defaults.
func Connect(ctx context.Context, r *http.Request, opts *ConnectOptions) *EventSource {
	o := ConnectOptions{}
	if opts != nil {
		o = *opts
	}
	for name, v := range map[string]int64{
		"MaxEventBytes": int64(o.MaxEventBytes), "Retry": int64(o.Retry), "Backoff": int64(o.Backoff),
		"MaxBackoff": int64(o.MaxBackoff), "MaxAttempts": int64(o.MaxAttempts), "IdleTimeout": int64(o.IdleTimeout),
	} {
		if v < 0 {
			panic(fmt.Sprintf("sse: ConnectOptions.%s is negative", name))
		}
	}
	o.Backoff = cmp.Or(o.Backoff, DefaultBackoff)
	o.MaxBackoff = max(cmp.Or(o.MaxBackoff, DefaultMaxBackoff), o.Backoff)
	client := *cmp.Or(o.Client, http.DefaultClient)
	client.Timeout = 0
	s := &EventSource{
		ctx: ctx, request: r.Clone(ctx), client: &client, opts: o,
		lastID: cmp.Or(o.LastEventID, r.Header.Get(lastEventIDHeader)),
		retry:  cmp.Or(o.Retry, DefaultRetryInterval),
	}
	header := s.request.Header
	if header == nil {
		header = make(http.Header)
		s.request.Header = header
	}
	if header.Get("Accept") == "" {
		header.Set("Accept", "text/event-stream")
	}
	if header.Get("Cache-Control") == "" {
		header.Set("Cache-Control", "no-cache")
	}
	return s
}

// Events connects and yields what the server sends; when a stream ends, it waits for the reconnection time and a random
// while, and goes on at the last event ID (WHATWG HTML 9.2.3). Events are as [Reader.Next] returns them, but an ID is in
// force until the server sends another, over reconnections too.
//
// The sequence ends without an error when the server answers 204. An error comes last: the cause of the context, if that
// has ended; a [*ResponseError] for a response that is no event stream and is not to be asked for again;
// [ErrEventTooLarge], [ErrBodyUsed], [ErrUnsendableID]; after MaxAttempts, what the last attempt met; a URL that can't be
// asked. Everything else is a reason to connect again, the regular end of a response too: who reads an answer that has an
// end leaves the loop there. After the loop the connection is closed, and nothing runs any more; to range again goes on
// behind the last event that was yielded.
func (s *EventSource) Events() iter.Seq2[Event, error] {
	return func(yield func(Event, error) bool) {
		s.begin()
		defer s.end()
		if err := s.check(); err != nil {
			yield(Event{}, err)
			return
		}
		failed := 0
		for {
			left, err := s.follow(yield, &failed)
			switch {
			case left, errors.Is(err, errNoContent):
				return
			case s.ctx.Err() != nil:
				yield(Event{}, context.Cause(s.ctx))
				return
			case s.final(err, failed):
				yield(Event{}, err)
				return
			case s.spent():
				yield(Event{}, fmt.Errorf("%w: %w", ErrBodyUsed, err))
				return
			}
			if !s.wait(err, failed) {
				yield(Event{}, context.Cause(s.ctx))
				return
			}
		}
	}
}

// LastEventID returns what the next attempt asks for: the ID in force at the last blank line, of an event or not.
func (s *EventSource) LastEventID() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.lastID
}

// Retry returns the reconnection time in force.
func (s *EventSource) Retry() time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.retry
}

// ReadyState returns the state of this moment.
func (s *EventSource) ReadyState() ReadyState {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.state
}

func (s *EventSource) begin() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.running {
		panic("sse: the events of an EventSource are ranged over twice at once; make one for each loop")
	}
	s.running, s.state = true, ReadyStateConnecting
}

func (s *EventSource) end() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.running, s.state = false, ReadyStateClosed
}

func (s *EventSource) become(state ReadyState) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.state = state
}
