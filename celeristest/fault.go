package celeristest

import (
	"context"
	"fmt"
	"net"
	"time"
)

// Hold makes the reader stand still: from here on nothing leaves the network, and once a buffer on the way is full the
// server's writes wait. Bytes that the client's transport has taken before, 4 KiB at most on HTTP/1.1, may still
// arrive. Holding ends with Release, and with the connection.
func (s *Stream) Hold() { s.connection().network().Hold() }

// Release ends Hold.
func (s *Stream) Release() { s.connection().network().Release() }

// CutAfter breaks the connection, for both sides, when the reader has got n more bytes of the response's body; what
// follows them is lost. Zero means now. A later call replaces an earlier one. It panics if n is negative.
func (s *Stream) CutAfter(n int) {
	if n < 0 {
		panic(fmt.Sprintf("celeristest: CutAfter(%d): it is a number of bytes", n))
	}
	s.connection().limit(n)
}

// Reset breaks the connection now, for both sides; what was under way is lost.
func (s *Stream) Reset() { s.CutAfter(0) }

// CloseWrite closes the connection in one direction: the server reads the end of what this client has to say, and can
// still send. Celeris takes it for departure.
func (s *Stream) CloseWrite() { _ = s.connection().network().CloseWrite() }

// Close closes the connection as a browser does that leaves the page. Events that have arrived can still be taken. It
// may be called more than once; the end of the test calls it.
func (s *Stream) Close() {
	s.cancel(net.ErrClosed)
	s.turn <- struct{}{}
	defer func() { <-s.turn }()
	s.connection().leave()
}

// Resume reconnects as a browser does: it closes what is left of the connection, waits for [Stream.Retry], and opens
// the stream again with [Stream.LastEventID]. Events that arrived before and were not taken come first. The error says
// what the response was, if it is no stream, or [net.ErrClosed] after Close; then the stream stays ended, and Resume may
// be called again.
func (s *Stream) Resume() error {
	s.turn <- struct{}{}
	defer func() { <-s.turn }()
	s.connection().leave()
	wait := time.NewTimer(s.Retry())
	defer wait.Stop()
	select {
	case <-wait.C:
	case <-s.ctx.Done():
	}
	if s.ctx.Err() != nil {
		return fmt.Errorf("celeristest: resume: %w", context.Cause(s.ctx))
	}
	if err := s.open(); err != nil {
		return fmt.Errorf("celeristest: resume: %w", err)
	}
	return nil
}
