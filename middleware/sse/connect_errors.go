package sse

import (
	"errors"
	"fmt"
	"net/http"
	"time"
)

// Errors of an [EventSource].
var (
	// ErrIdleTimeout means that the server was silent for longer than IdleTimeout.
	ErrIdleTimeout = errors.New("sse: nothing came within the idle timeout")
	// ErrBodyUsed means that a request can't be sent again: its body was read and there is no GetBody. The error that
	// made another attempt necessary is wrapped beside it.
	ErrBodyUsed = errors.New("sse: request has a body and no GetBody, so it can't be sent again")
	// ErrUnsendableID means that the last event ID has control characters, which no header may carry.
	ErrUnsendableID = errors.New("sse: last event ID can't be sent in a header")

	// errNoContent is a 204, which ends the events for good (WHATWG HTML 9.2.3).
	errNoContent = errors.New("sse: no content")
)

// maxErrorBody is how much of a response that is no stream is kept.
const maxErrorBody = 4 << 10

// ResponseError reports a response that is no event stream: its status is not 200, or else its Content-Type is not
// text/event-stream.
type ResponseError struct {
	StatusCode int
	Header     http.Header
	// Body is the beginning of the response's body, 4 KiB at most.
	Body []byte
	// RetryAfter is what the header of this name asks for, zero if it doesn't.
	RetryAfter time.Duration
}

// Error names the status, or else the content type.
func (e *ResponseError) Error() string {
	if e.StatusCode != http.StatusOK {
		return fmt.Sprintf("sse: response is no event stream: status %d %s", e.StatusCode, http.StatusText(e.StatusCode))
	}
	return fmt.Sprintf("sse: response is no event stream: content type %q", e.Header.Get("Content-Type"))
}

// IsTemporary reports whether a status is one that may pass: 408, 425, 429, 500, 502, 503 or 504. It is for
// [ConnectOptions.RetryStatus].
func IsTemporary(status int) bool {
	switch status {
	case http.StatusRequestTimeout, http.StatusTooEarly, http.StatusTooManyRequests, http.StatusInternalServerError,
		http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return true
	}
	return false
}
