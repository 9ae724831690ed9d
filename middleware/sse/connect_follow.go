package sse

import (
	"context"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"time"
)

const lastEventIDHeader = "Last-Event-Id"

// patience is how long the body of a response that is no stream is read.
const patience = time.Second

// follow makes one attempt and yields what it brings. The error is why it ended; left is that the loop was.
func (s *EventSource) follow(yield func(Event, error) bool, failed *int) (left bool, err error) {
	ctx, cancel := context.WithCancelCause(s.ctx)
	defer cancel(nil)
	idle := watchdog{}
	if d := s.opts.IdleTimeout; d > 0 {
		idle = watchdog{d, time.AfterFunc(d, func() { cancel(ErrIdleTimeout) })}
		defer idle.rest()
	}
	response, err := s.open(ctx, idle)
	if err != nil {
		*failed++
		return false, err
	}
	defer response.Body.Close()
	defer cancel(nil) // first: what is left of the body is of no interest
	*failed = 0
	s.become(ReadyStateOpen)
	defer s.become(ReadyStateConnecting)
	if s.opts.OnOpen != nil {
		s.opts.OnOpen(response)
	}

	body := &streamBody{source: s, body: response.Body, idle: idle}
	body.reader = NewReader(body, &ReaderOptions{MaxEventBytes: s.opts.MaxEventBytes, LastEventID: s.LastEventID()})
	for s.ctx.Err() == nil {
		event, err := body.reader.Next()
		body.note()
		if err != nil {
			return false, named(ctx, err)
		}
		if !yield(event, nil) {
			return true, nil
		}
	}
	return false, s.ctx.Err()
}

// named returns the reason for which ctx was canceled in place of what came of it.
func named(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return err
}

// open sends the request and judges the response.
func (s *EventSource) open(ctx context.Context, idle watchdog) (*http.Response, error) {
	r, err := s.attempt(ctx)
	if err != nil {
		return nil, err
	}
	response, err := s.client.Do(r)
	idle.rest()
	if err != nil {
		return nil, named(ctx, fmt.Errorf("sse: connect: %w", err))
	}
	if response.StatusCode == http.StatusOK && isStream(response.Header) {
		return response, nil
	}
	defer response.Body.Close()
	if response.StatusCode == http.StatusNoContent {
		return nil, errNoContent
	}
	refused := &ResponseError{
		StatusCode: response.StatusCode, Header: response.Header,
		RetryAfter: retryAfter(response.Header.Get("Retry-After"), time.Now()),
	}
	stop := time.AfterFunc(patience, func() { response.Body.Close() })
	defer stop.Stop()
	refused.Body, _ = io.ReadAll(io.LimitReader(response.Body, maxErrorBody)) // as much as there is
	return nil, refused
}

// attempt is the request with what changes from one attempt to the next.
func (s *EventSource) attempt(ctx context.Context) (*http.Request, error) {
	r := s.request.Clone(ctx)
	r.Header.Del(lastEventIDHeader)
	if id := s.LastEventID(); id != "" {
		if !sendable(id) {
			return nil, fmt.Errorf("%w: %q", ErrUnsendableID, id)
		}
		r.Header.Set(lastEventIDHeader, id)
	}
	if r.Body == nil || r.Body == http.NoBody {
		return r, nil
	}
	if s.spent() {
		return nil, ErrBodyUsed // an earlier loop has sent it
	}
	s.mu.Lock()
	again := s.bodySent
	s.bodySent = true
	s.mu.Unlock()
	if !again {
		return r, nil
	}
	body, err := r.GetBody()
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrBodyUsed, err)
	}
	r.Body = body
	return r, nil
}

// spent reports whether the request had a body that is gone.
func (s *EventSource) spent() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.bodySent && s.request.GetBody == nil
}

// sendable reports whether a header may carry an ID (RFC 9110 5.5).
func sendable(id string) bool {
	for i := range len(id) {
		if c := id[i]; c < ' ' && c != '\t' || c == 0x7f {
			return false
		}
	}
	return true
}

// isStream judges the essence of the content type; parameters don't matter.
func isStream(header http.Header) bool {
	essence, _, err := mime.ParseMediaType(header.Get("Content-Type"))
	return essence == "text/event-stream" && (err == nil || errors.Is(err, mime.ErrInvalidMediaParameter))
}

// watchdog is a timer that runs while the server is waited for; without one it does nothing.
type watchdog struct {
	after time.Duration
	timer *time.Timer
}

func (w watchdog) watch() {
	if w.timer != nil {
		w.timer.Reset(w.after)
	}
}

func (w watchdog) rest() {
	if w.timer != nil {
		w.timer.Stop()
	}
}

// streamBody is the body of an open stream. Whenever more of it is read, all that was is parsed.
type streamBody struct {
	source *EventSource
	body   io.Reader
	reader *Reader
	idle   watchdog
}

// Read implements [io.Reader].
func (b *streamBody) Read(p []byte) (int, error) {
	b.note()
	b.idle.watch()
	defer b.idle.rest()
	return b.body.Read(p)
}

// note takes over what the stream said about reconnecting.
func (b *streamBody) note() {
	b.source.mu.Lock()
	defer b.source.mu.Unlock()
	b.source.lastID = b.reader.LastEventID()
	if b.reader.retried {
		b.source.retry = b.reader.Retry()
	}
}
