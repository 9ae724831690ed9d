package celeristest

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"maps"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/goceleris/celeris/middleware/sse"
)

const (
	defaultPatience = time.Minute
	// defaultRetry is the reconnection time of a client that was told none (WHATWG HTML 9.2.2: a few seconds).
	defaultRetry = 3 * time.Second
	maxUnread    = 16 << 20
	maxRaw       = 1 << 20
)

// Errors of streams. They are matched with [errors.Is].
var (
	// ErrNoEvent means that no event came in time. The stream goes on.
	ErrNoEvent = errors.New("celeristest: no event came in time")
	// ErrUnread means that more than 16 MiB of events have arrived and were not taken. It ends the stream.
	ErrUnread = errors.New("celeristest: too many events were not taken: call Next or Arrived, or Hold the stream")
)

// StreamOptions are the choices of [Site.Stream]. The zero value works.
type StreamOptions struct {
	// Method is the request's method. Empty means GET.
	Method string
	// Body is the request's body.
	Body string
	// Header goes beside, or instead of, what an EventSource sends: Accept and Sec-Fetch-Mode.
	Header http.Header
	// LastEventID is where the stream goes on. Empty means that it begins.
	LastEventID string
	// Patience is how long to wait for the head of a response, and for an event in [Stream.Next]. Zero means a
	// minute.
	Patience time.Duration
}

// Stream reads an event stream as a browser's EventSource does: a goroutine takes what arrives, at once and until it is
// told to [Stream.Hold]; other than an EventSource it waits for [Stream.Resume] before it reconnects. Its methods may be
// called by any goroutine, at any time.
type Stream struct {
	site   *Site
	target string
	opts   StreamOptions

	ctx    context.Context // ends with Close
	cancel context.CancelCauseFunc
	turn   chan struct{} // has room for one: who replaces or ends the connection

	mu      sync.Mutex // guards what follows
	conn    *connection
	changed chan struct{} // closed and replaced when an event has arrived or the stream has ended
	events  []sse.Event   // not taken yet
	unread  int           // their bytes
	raw     []byte
	lastID  string
	retry   time.Duration
	err     error // why the connection's events have ended
}

// Stream opens an event stream on a connection of its own. It returns when the head of the response has come,
// which may be before the first byte of the stream; anything
// but a 200 with text/event-stream fails t with what came instead. Nil opts mean the defaults. The stream is closed at
// the end of t.
func (s *Site) Stream(t testing.TB, path string, opts *StreamOptions) *Stream {
	t.Helper()
	st := &Stream{site: s, target: s.URL(path), turn: make(chan struct{}, 1), changed: make(chan struct{})}
	st.ctx, st.cancel = context.WithCancelCause(s.ctx)
	if opts != nil {
		st.opts = *opts
		st.opts.Header = maps.Clone(opts.Header)
	}
	st.opts.Method = cmp.Or(st.opts.Method, http.MethodGet)
	st.opts.Patience = cmp.Or(st.opts.Patience, defaultPatience)
	st.lastID = st.opts.LastEventID
	if err := st.open(); err != nil {
		t.Fatalf("celeristest: %v", err)
	}
	t.Cleanup(st.Close)
	return st
}

// Next returns the oldest event that was not taken, and waits for one if there is none. Its ID is the last event id at
// that point.
//
// When the connection has ended and all of its events are taken, the error is [io.EOF] if the response was complete,
// [net.ErrClosed] after Close, and what broke the connection otherwise, ECONNRESET after Reset and CutAfter; it stays
// until Resume. If nothing happens for [StreamOptions.Patience] the error is [ErrNoEvent].
func (s *Stream) Next() (sse.Event, error) {
	timer := time.NewTimer(s.opts.Patience)
	defer timer.Stop()
	for {
		e, changed, err := s.take()
		if changed == nil || err != nil {
			return e, err
		}
		select {
		case <-changed:
		case <-timer.C:
			return sse.Event{}, fmt.Errorf("%w: %v of waiting at %s", ErrNoEvent, s.opts.Patience, s.target)
		}
	}
}

// take returns an event, or what is closed when there may be one, or the end.
func (s *Stream) take() (e sse.Event, changed <-chan struct{}, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.events) == 0 {
		return e, s.changed, s.err
	}
	e, s.events = s.events[0], s.events[1:]
	s.unread -= size(e)
	return e, nil, nil
}

// Events yields what [Stream.Next] returns until the connection ends. The end of a complete response ends the sequence;
// any other error comes last, ErrNoEvent too. What was not taken when the loop is left stays for later.
func (s *Stream) Events() iter.Seq2[sse.Event, error] {
	return func(yield func(sse.Event, error) bool) {
		for {
			e, err := s.Next()
			if errors.Is(err, io.EOF) {
				return
			}
			if !yield(e, err) || err != nil {
				return
			}
		}
	}
}

// Arrived takes the events that have arrived, and does not wait. Behind a synctest.Wait, these are all that the server
// has sent.
func (s *Stream) Arrived() []sse.Event {
	s.mu.Lock()
	defer s.mu.Unlock()
	events := s.events
	s.events, s.unread = nil, 0
	return events
}

// Raw returns the text that has arrived since the last call, of all connections, and the newest MiB of it at most:
// heartbeats, comments and fields are seen here only.
func (s *Stream) Raw() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	text := string(s.raw[max(0, len(s.raw)-maxRaw):])
	s.raw = nil
	return text
}

// LastEventID is what Resume sends: the id of the newest blank line that has arrived, whether its event was taken or
// not, and whether it was an event or not.
func (s *Stream) LastEventID() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.lastID
}

// Retry is the reconnection time that the server has set last, 3 s if it has set none.
func (s *Stream) Retry() time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	return cmp.Or(s.retry, defaultRetry)
}

// Response is the response of the current connection. Its body belongs to the stream.
func (s *Stream) Response() *http.Response { return s.connection().response }

func (s *Stream) connection() *connection {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.conn
}

// size is what an event counts as unread.
func size(e sse.Event) int { return len(e.ID) + len(e.Event) + len(e.Data) + 64 }

// arrived keeps what a connection has read.
func (s *Stream) arrived(e sse.Event) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.events = append(s.events, e)
	s.unread += size(e)
	s.signal()
	if s.unread > maxUnread {
		return ErrUnread
	}
	return nil
}

// keep keeps the text that a connection has read.
func (s *Stream) keep(p []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.raw = append(s.raw, p...)
	if len(s.raw) > 2*maxRaw { // seldom, since it copies
		s.raw = append(s.raw[:0], s.raw[len(s.raw)-maxRaw:]...)
	}
}

// learn keeps what a reconnect needs to know.
func (s *Stream) learn(r *sse.Reader) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lastID, s.retry = r.LastEventID(), cmp.Or(r.Retry(), s.retry)
}

// end says why a connection's events have ended.
func (s *Stream) end(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.err = err
	s.signal()
}

// signal is called with the lock held.
func (s *Stream) signal() {
	close(s.changed)
	s.changed = make(chan struct{})
}

// request is what opens a connection.
func (s *Stream) request() (*http.Request, error) {
	r, err := http.NewRequest(s.opts.Method, s.target, strings.NewReader(s.opts.Body))
	if err != nil {
		return nil, err
	}
	r.Header.Set("Accept", "text/event-stream")
	r.Header.Set("Sec-Fetch-Mode", "cors")
	if id := s.LastEventID(); id != "" {
		r.Header.Set("Last-Event-ID", id)
	}
	maps.Copy(r.Header, s.opts.Header)
	return r, nil
}
