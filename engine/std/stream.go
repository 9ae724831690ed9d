package std

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/goceleris/celeris/engine"
	"github.com/goceleris/celeris/internal/fanout"
)

const (
	piece        = 16 << 10
	refusedAfter = 250 * time.Millisecond
)

// Defaults of [Config].
const (
	DefaultMaxStall  = 60 * time.Second
	DefaultHeartbeat = 15 * time.Second
)

// Config says how a stream is driven.
type Config struct {
	// Context ends when the peer is gone.
	Context context.Context
	// Base is the writer that deadlines are set on.
	Base http.ResponseWriter
	// Out is what the stream writes to and flushes.
	Out http.ResponseWriter
	// MaxStall is how long one piece of at most 16 KiB may take. Zero means 60 s.
	MaxStall time.Duration
	// Heartbeat is how long the stream may be silent. Zero means 15 s.
	Heartbeat time.Duration
	// Beat is what is sent after that silence when there is no position to tell.
	Beat []byte
	// MaxAge is after which time OnAge is called, once, on a goroutine of its own; never if it is zero.
	MaxAge time.Duration
	OnAge  func()
	// NoBody says that the request has no body, which would have to come before the response.
	NoBody bool
	// Written, if set, is added the bytes that are handed to Out.
	Written *atomic.Int64
}

// Stream drives one member. It is made on, and run by, the goroutine that owns the response; [Stream.Wake] and
// [Stream.Interrupt] may be called from anywhere, also after the end.
type Stream struct {
	cfg    Config
	base   *http.ResponseController
	out    *http.ResponseController
	member *fanout.Member
	wake   chan struct{}
	born   time.Time
	sent   time.Time // when the last byte was handed over
	bytes  int64
	bufs   [][]byte
	every  bool      // deadlines must be taken back after each pass
	limit  time.Time // the deadline of the write that is under way

	// mu guards what follows and every deadline that is set.
	mu          sync.Mutex
	interrupted bool
	opening     bool // what is missing of the request's body may be read
	over        bool
}

var _ fanout.Driver = (*Stream)(nil)

// New returns a stream that has not begun. proto is the major version of the request's protocol.
func New(cfg Config, proto int) *Stream {
	cfg.MaxStall = cmp.Or(cfg.MaxStall, DefaultMaxStall)
	cfg.Heartbeat = cmp.Or(cfg.Heartbeat, DefaultHeartbeat)
	return &Stream{
		cfg: cfg, base: http.NewResponseController(cfg.Base), out: http.NewResponseController(cfg.Out),
		wake: make(chan struct{}, 1), every: proto >= 2,
	}
}

// Open writes the response's status and the first bytes, and flushes them. From here on the deadlines of the
// server for ordinary requests don't apply.
func (s *Stream) Open(first []byte) error {
	s.born = time.Now()
	// Before it writes, net/http reads what is missing of the body of an HTTP/1.1 request.
	limit := s.born.Add(s.cfg.MaxStall)
	if err := s.readBy(limit, true); err != nil {
		return err
	}
	s.cfg.Out.WriteHeader(http.StatusOK)
	if err := s.write(first); err != nil {
		return err
	}
	if err := s.flush(); err != nil {
		return err
	}
	if !time.Now().Before(limit) {
		return fmt.Errorf("%w: the request's body did not come", engine.ErrStalled)
	}
	return s.readBy(time.Time{}, false)
}

// readBy sets the read deadline.
func (s *Stream) readBy(limit time.Time, opening bool) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.interrupted {
		return s.cut()
	}
	if s.opening = opening && !s.cfg.NoBody; s.cfg.NoBody {
		return nil
	}
	if err := s.base.SetReadDeadline(limit); err != nil && !errors.Is(err, http.ErrNotSupported) {
		return fmt.Errorf("std: set the read deadline: %w", err)
	}
	return nil
}

// Abandon says that the stream will not be run and that its response belongs to somebody else again.
func (s *Stream) Abandon() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.over = true
}

// Detached makes the stream write to the base writer from here on.
func (s *Stream) Detached() { s.cfg.Out, s.out = s.cfg.Base, s.base }

// Begun tells what another engine must know that goes on with a stream which was opened here and will not run: since when
// it is open, and how many bytes went out.
func (s *Stream) Begun() (born time.Time, sent int64) { return s.born, s.bytes }

// Wake implements [fanout.Driver].
func (s *Stream) Wake() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// Interrupt implements [fanout.Driver].
func (s *Stream) Interrupt() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.interrupted = true
	if s.over {
		return
	}
	_ = s.base.SetWriteDeadline(time.Unix(1, 0)) // a writer without deadlines is cut at its next piece
	if s.opening {
		_ = s.base.SetReadDeadline(time.Unix(1, 0))
	}
}

// Run drives m until it ends, and ends it. clean means that all it had to say was handed to the connection.
func (s *Stream) Run(m *fanout.Member) (end engine.End, clean bool) {
	s.member = m
	err := s.loop()
	s.mu.Lock()
	s.over = true
	clean = err == nil && !s.interrupted
	s.mu.Unlock()
	return engine.End{Reason: m.End(err), Bytes: s.bytes, Duration: time.Since(s.born)}, clean
}

func (s *Stream) loop() error {
	// Neither waits for a moment without anything to send.
	defer context.AfterFunc(s.cfg.Context, s.Interrupt)()
	if s.cfg.MaxAge > 0 {
		defer time.AfterFunc(s.cfg.MaxAge, s.cfg.OnAge).Stop()
	}
	beat := time.NewTimer(s.cfg.Heartbeat)
	defer beat.Stop()
	for {
		finished, err := s.pass()
		if finished || err != nil {
			return err
		}
		select {
		case <-s.wake:
		case <-beat.C:
			if err := s.beat(); err != nil {
				return err
			}
			beat.Reset(time.Until(s.sent.Add(s.cfg.Heartbeat)))
		case <-s.cfg.Context.Done():
			return s.gone()
		}
	}
}

// buffers hold what is being written, so that a refused write pins no log.
var buffers = sync.Pool{New: func() any { return new([piece]byte) }}

// pass sends all that is due, then flushes.
func (s *Stream) pass() (finished bool, err error) {
	var buf *[piece]byte
	defer func() {
		if buf != nil {
			buffers.Put(buf)
		}
		s.member.Blocked(0)
	}()
	wrote := false
	for st := fanout.More; st == fanout.More; {
		var bufs [][]byte
		bufs, st = s.member.Next(s.bufs[:0], piece)
		finished = st == fanout.Finished
		if len(bufs) == 0 {
			continue
		}
		if !wrote {
			wrote = true
			buf = buffers.Get().(*[piece]byte)
			s.member.Blocked(time.Now().Add(refusedAfter).UnixNano())
		}
		if err := s.send(buf, bufs); err != nil {
			return false, err
		}
		s.bufs = bufs
	}
	if wrote {
		err = s.flush()
	}
	return finished, err
}

// send writes frames. While a write waits nothing of a log is referred to: frames are copied, but for those so
// large that they share their memory with no other.
func (s *Stream) send(buf *[piece]byte, frames [][]byte) error {
	n := 0
	var rest [][]byte
	for i, f := range frames {
		frames[i] = nil
		switch {
		case rest == nil && n+len(f) <= len(buf):
			n += copy(buf[n:], f)
		case len(f) <= fanout.AloneAbove:
			rest = append(rest, bytes.Clone(f))
		default:
			rest = append(rest, f)
		}
	}
	if err := s.write(buf[:n]); err != nil {
		return err
	}
	for _, f := range rest {
		if err := s.write(f); err != nil {
			return err
		}
	}
	return nil
}

// write writes p in pieces, each with its deadline.
func (s *Stream) write(p []byte) error {
	for len(p) > 0 {
		n := min(len(p), piece)
		if err := s.arm(); err != nil {
			return err
		}
		s.sending(true)
		wrote, err := s.cfg.Out.Write(p[:n])
		s.sending(false)
		s.bytes += int64(wrote)
		if s.cfg.Written != nil {
			s.cfg.Written.Add(int64(wrote))
		}
		if err != nil {
			return s.failed(err)
		}
		p = p[n:]
	}
	return nil
}

func (s *Stream) flush() error {
	if err := s.arm(); err != nil {
		return err
	}
	s.sending(true)
	err := s.out.Flush()
	s.sending(false)
	if err != nil {
		return s.failed(err)
	}
	s.sent = time.Now()
	return s.disarm()
}

// sending tells the member when one call takes long.
func (s *Stream) sending(on bool) {
	if s.member == nil { // the opening
		return
	}
	since := int64(0)
	if on {
		since = time.Now().UnixNano()
	}
	s.member.Sending(since)
}

// arm gives the next write its deadline.
func (s *Stream) arm() error {
	now := time.Now()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.interrupted {
		return s.cut()
	}
	s.limit = now.Add(s.cfg.MaxStall)
	if err := s.base.SetWriteDeadline(s.limit); err != nil && !errors.Is(err, http.ErrNotSupported) {
		return s.failed(err)
	}
	return nil
}

// disarm takes the deadline back. On HTTP/2 one that passes ends the stream even when nothing is being written.
func (s *Stream) disarm() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.interrupted {
		return s.cut()
	}
	s.limit = time.Time{}
	if !s.every {
		return nil
	}
	if err := s.base.SetWriteDeadline(time.Time{}); err != nil && !errors.Is(err, http.ErrNotSupported) {
		return s.failed(err)
	}
	return nil
}

// late reports whether the send that is under way, or was the last, is beyond its deadline.
func (s *Stream) late() bool { return !s.limit.IsZero() && !time.Now().Before(s.limit) }

// failed names the reason for which a write failed. HTTP/2 resets a stream whose deadline has passed and doesn't
// say why, and net/http ends the request's context with a failing write.
func (s *Stream) failed(err error) error {
	switch {
	case s.late():
		return fmt.Errorf("%w: %w", engine.ErrStalled, err)
	case s.cfg.Context.Err() != nil:
		return s.gone()
	case errors.Is(err, os.ErrDeadlineExceeded):
		return fmt.Errorf("%w: %w", engine.ErrStalled, err)
	}
	return fmt.Errorf("%w: %w", engine.ErrPeerGone, err)
}

// cut is the reason for which a stream was interrupted between two writes.
func (s *Stream) cut() error {
	switch {
	case s.cfg.Context.Err() == nil:
		return engine.ErrCut
	case s.late():
		return fmt.Errorf("%w: %w", engine.ErrStalled, context.Cause(s.cfg.Context))
	}
	return s.gone()
}

// gone is the reason for which the connection ended.
func (s *Stream) gone() error {
	return fmt.Errorf("%w: %w", engine.ErrPeerGone, context.Cause(s.cfg.Context))
}

// beat breaks a silence.
func (s *Stream) beat() error {
	if time.Since(s.sent) < s.cfg.Heartbeat {
		return nil
	}
	p := s.member.Heartbeat()
	if p == nil {
		p = s.cfg.Beat
	}
	s.member.Blocked(time.Now().Add(refusedAfter).UnixNano())
	defer s.member.Blocked(0)
	if err := s.write(p); err != nil {
		return err
	}
	return s.flush()
}
