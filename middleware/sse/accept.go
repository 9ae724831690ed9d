package sse

import (
	"errors"
	"math/rand/v2"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/goceleris/celeris"
	"github.com/goceleris/celeris/engine"
	"github.com/goceleris/celeris/internal/exchange"
)

const mediaType = "text/event-stream"

// acceptsStream applies RFC 9110 12.5.1: the most specific range decides, and no Accept accepts everything.
func acceptsStream(r *http.Request) bool {
	values := r.Header.Values("Accept")
	if len(values) == 0 {
		return true
	}
	best, ok := 0, false
	for part := range strings.SplitSeq(strings.Join(values, ","), ",") {
		name, params, _ := strings.Cut(part, ";")
		specific := 0
		switch strings.ToLower(strings.TrimSpace(name)) {
		case mediaType:
			specific = 3
		case "text/*":
			specific = 2
		case "*/*":
			specific = 1
		}
		if specific > best {
			best, ok = specific, quality(params) > 0
		}
	}
	return ok
}

// quality is the weight among a range's parameters: 1 if there is none, 0 if it is malformed.
func quality(params string) float64 {
	for p := range strings.SplitSeq(params, ";") {
		name, v, _ := strings.Cut(p, "=")
		if strings.EqualFold(strings.TrimSpace(name), "q") {
			q, err := strconv.ParseFloat(strings.TrimSpace(v), 64)
			if err != nil || q < 0 || q > 1 {
				return 0
			}
			return q
		}
	}
	return 1
}

// cannotFlush returns the writer that [http.ResponseController] will fail at when it flushes w: w itself, or one that
// w wraps. It returns nil if it will find a way.
func cannotFlush(w http.ResponseWriter) http.ResponseWriter {
	for {
		switch t := w.(type) {
		case *exchange.Writer: // it has the method whatever is below
			w = t.ResponseWriter
		case interface{ FlushError() error }, http.Flusher:
			return nil
		case interface{ Unwrap() http.ResponseWriter }:
			w = t.Unwrap()
		default:
			return w
		}
	}
}

// streamHeader sets what makes a response an event stream, and keeps caches and proxies from holding it back. On
// HTTP/1.x the body ends with the connection, so that all streams have the same bytes.
func streamHeader(h http.Header, r *http.Request) {
	h.Set("Content-Type", mediaType)
	h.Set("Cache-Control", "no-store")
	h.Set("X-Accel-Buffering", "no")
	h.Del("Content-Length")
	if r.ProtoMajor == 1 {
		h.Set("Transfer-Encoding", "identity")
	}
}

// shed turns a request away for now. An EventSource gives up for good on any status but 200 (HTML 9.2.3), so a
// browser gets a stream that ends at once and says when to come back; others would take that for the whole answer.
func (s *settings) shed(c *celeris.Context, why error) error {
	r, h := c.Request(), c.Response().Header()
	retry := s.RetryInterval + rand.N(s.RetryJitter)
	h.Set("Cache-Control", "no-store")
	browser := r.Method == http.MethodGet && r.Header.Get("Sec-Fetch-Mode") != "" &&
		strings.Contains(r.Header.Get("Accept"), mediaType)
	if !browser {
		h.Set("Retry-After", strconv.Itoa(int((retry+time.Second-1)/time.Second)))
		return &celeris.HTTPError{Code: http.StatusServiceUnavailable, Err: refusal{publicError(why)}}
	}
	streamHeader(h, r)
	c.Response().WriteHeader(http.StatusOK)
	_, err := c.Response().Write(append(appendPlace(appendRetry(nil, retry), lastEventID(r)), '\n'))
	return err
}

// refusal is why a request was turned away. The server logs its own refusals, all of them in one line at times.
type refusal struct{ error }

// Unwrap serves [errors.Is].
func (r refusal) Unwrap() error { return r.error }

// Logged tells error handlers that there is nothing to log.
func (r refusal) Logged() bool {
	return errors.Is(r.error, exchange.ErrDraining) || errors.Is(r.error, engine.ErrFull)
}
