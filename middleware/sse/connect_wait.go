package sse

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"net/http"
	"strconv"
	"time"
)

// check returns what is wrong with the request whoever is asked.
func (s *EventSource) check() error {
	switch u := s.request.URL; {
	case s.request.RequestURI != "":
		return errors.New("sse: connect: request has a RequestURI, as those have that a server received")
	case u == nil || u.Host == "":
		return errors.New("sse: connect: request's URL has no host")
	case s.client.Transport == nil && u.Scheme != "http" && u.Scheme != "https":
		return fmt.Errorf("sse: connect: request's URL has the scheme %q", u.Scheme)
	}
	return nil
}

// final reports whether an error ends the events.
func (s *EventSource) final(err error, failed int) bool {
	switch {
	case errors.Is(err, ErrEventTooLarge), errors.Is(err, ErrBodyUsed), errors.Is(err, ErrUnsendableID):
		return true
	case s.opts.MaxAttempts > 0 && failed >= s.opts.MaxAttempts:
		return true
	}
	response, ok := errors.AsType[*ResponseError](err)
	if !ok {
		return false
	}
	return response.StatusCode == http.StatusOK || s.opts.RetryStatus == nil || !s.opts.RetryStatus(response.StatusCode)
}

// wait waits before another attempt. It returns false if the context has ended.
func (s *EventSource) wait(err error, failed int) bool {
	least := s.Retry()
	if response, ok := errors.AsType[*ResponseError](err); ok {
		least = max(least, response.RetryAfter)
	}
	wait := s.delay(least, failed)
	if s.opts.OnReconnect != nil {
		s.opts.OnReconnect(Reconnect{Err: err, Failed: failed, Wait: wait, LastEventID: s.LastEventID()})
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-s.ctx.Done():
	}
	return s.ctx.Err() == nil
}

// delay is at least the reconnection time, as the standard wants it, and a part that is random throughout: clients that
// one server has lost don't return together.
func (s *EventSource) delay(least time.Duration, failed int) time.Duration {
	backoff := s.opts.Backoff
	for range failed {
		if backoff > s.opts.MaxBackoff/2 {
			backoff = s.opts.MaxBackoff
			break
		}
		backoff *= 2
	}
	return least + min(rand.N(backoff), math.MaxInt64-least)
}

// retryAfter reads the header of that name (RFC 9110 10.2.3): seconds or a date.
func retryAfter(value string, now time.Time) time.Duration {
	const limit = math.MaxInt64 / int64(time.Second)
	if seconds, err := strconv.ParseUint(value, 10, 64); err == nil {
		return time.Duration(min(seconds, uint64(limit))) * time.Second
	}
	if date, err := http.ParseTime(value); err == nil {
		return max(0, date.Sub(now))
	}
	return 0
}
