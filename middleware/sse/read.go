package sse

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"iter"
	"math"
	"time"
	"unicode/utf8"
)

const (
	// defaultReadEventBytes is what a zero ReaderOptions.MaxEventBytes means.
	defaultReadEventBytes = 1 << 20

	readBufferBytes = 4 << 10
	maxEmptyReads   = 100
	byteOrderMark   = "\uFEFF"
)

// ReaderOptions are the choices of [NewReader]. The zero value works.
type ReaderOptions struct {
	// MaxEventBytes bounds one event: the bytes of all field lines between
	// two blank lines, without their line ends. Comments are not counted,
	// and not kept. Zero means 1 MiB.
	MaxEventBytes int

	// LastEventID is the last event ID before the first byte, for a stream
	// that continues an earlier one. Events carry it until the stream sets
	// another.
	LastEventID string
}

// Reader parses an event stream by WHATWG HTML 9.2.6. It reads no further
// than it must: an event is returned as soon as the line end of its blank line
// has been read. It starts no goroutine, and never closes what it reads from.
//
// A Reader is for one goroutine at a time.
type Reader struct {
	src       io.Reader
	max       int
	buf       []byte // read and not yet parsed: buf[start:end]
	start     int
	end       int
	err       error // from src or about the stream; sticky once buf is used up
	emptyRead int

	line      []byte // the part of the current line that earlier reads brought
	inLine    bool   // the current line has begun
	comment   bool   // the current line is a comment: its bytes are dropped
	skipLF    bool   // the last line ended in CR: an LF right behind belongs to it
	bomSeen   int    // bytes of a byte order mark seen; past its length: decided
	size      int    // bytes of the current event's complete field lines
	data      []byte // data buffer, every line with its LF
	eventType string
	idBuffer  string // last event ID buffer, takes effect at the blank line

	lastID   string
	retry    time.Duration
	newRetry time.Duration // retry received since the last returned event
	retried  bool          // the stream has set retry
}

// NewReader returns a Reader of the stream that src delivers. Nil options mean
// the defaults.
func NewReader(src io.Reader, opts *ReaderOptions) *Reader {
	o := ReaderOptions{}
	if opts != nil {
		o = *opts
	}
	if o.MaxEventBytes < 0 {
		panic(fmt.Sprintf("sse: ReaderOptions.MaxEventBytes is %d; it is a number of bytes, zero means %d",
			o.MaxEventBytes, defaultReadEventBytes))
	}
	return &Reader{
		src:      src,
		max:      cmp.Or(o.MaxEventBytes, defaultReadEventBytes),
		buf:      make([]byte, readBufferBytes),
		idBuffer: o.LastEventID,
		lastID:   o.LastEventID,
	}
}

// Read returns the events of r in order, with the limits of a nil
// [ReaderOptions]. The end of the stream ends the sequence; any other error
// of [Reader.Next] comes last. An event that the end cuts off is discarded, as
// the standard demands. Ranging starts reading, and leaving the loop holds
// nothing back, but what had been read from r by then is gone: range over it
// once.
func Read(r io.Reader) iter.Seq2[Event, error] {
	return func(yield func(Event, error) bool) {
		reader := NewReader(r, nil)
		for {
			event, err := reader.Next()
			if errors.Is(err, io.EOF) {
				return
			}
			if !yield(event, err) || err != nil {
				return
			}
		}
	}
}

// Next returns the next event that carries data. Its ID is the last event ID
// at that point, which earlier blocks may have set; its Event is empty for the
// default type; its Retry is the reconnection time received since the event
// before, zero if none; its Key is empty. Invalid UTF-8 is returned as U+FFFD.
//
// At the end of the stream the error is io.EOF. [ErrEventTooLarge] and errors
// of the underlying reader, wrapped, end the stream as well: every further
// call returns the same error.
func (r *Reader) Next() (Event, error) {
	for {
		event, ok, err := r.parse()
		if ok {
			return event, nil
		}
		if err != nil {
			r.start, r.end, r.err = 0, 0, err
		}
		if r.err != nil {
			return Event{}, r.err
		}
		r.fill()
	}
}

// LastEventID returns what a client that reconnects sends as Last-Event-ID:
// the value at the last blank line, whether or not that block was an event.
func (r *Reader) LastEventID() string { return r.lastID }

// Retry returns the reconnection time that the stream set last, at once when
// its line has been read; zero if it set none.
func (r *Reader) Retry() time.Duration { return r.retry }

// fill reads once from the source. What came with an error is parsed first.
func (r *Reader) fill() {
	n, err := r.src.Read(r.buf)
	r.start, r.end = 0, n
	switch {
	case err == io.EOF:
		r.err = io.EOF
	case err != nil:
		r.err = fmt.Errorf("sse: read stream: %w", err)
	case n > 0:
		r.emptyRead = 0
	default:
		if r.emptyRead++; r.emptyRead >= maxEmptyReads {
			r.err = fmt.Errorf("sse: read stream: %w", io.ErrNoProgress)
		}
	}
}

// parse consumes what is buffered up to the end of the next event.
func (r *Reader) parse() (event Event, ok bool, err error) {
	r.skipBOM()
	for r.start < r.end {
		if r.skipLF {
			r.skipLF = false
			if r.buf[r.start] == '\n' {
				r.start++
				continue
			}
		}
		rest := r.buf[r.start:r.end]
		if !r.inLine {
			r.inLine, r.comment = true, rest[0] == ':'
		}
		n, complete := len(rest), false
		if i := bytes.IndexByte(rest, '\n'); i >= 0 {
			n, complete = i, true
		}
		if i := bytes.IndexByte(rest[:n], '\r'); i >= 0 {
			n, complete = i, true
			r.skipLF = true
		}
		r.start += n
		if !r.comment && r.size+len(r.line)+n > r.max {
			return Event{}, false, ErrEventTooLarge
		}
		if !complete {
			if !r.comment {
				r.line = append(r.line, rest[:n]...)
			}
			break
		}
		r.start++ // the line end
		r.inLine = false
		if r.comment {
			continue
		}
		line := rest[:n]
		if len(r.line) > 0 {
			r.line = append(r.line, line...)
			line = r.line
			r.line = r.line[:0]
		}
		if len(line) > 0 {
			r.size += len(line)
			r.field(line)
			continue
		}
		if event, ok = r.dispatch(); ok {
			return event, true, nil
		}
	}
	return Event{}, false, nil
}

// skipBOM drops one byte order mark from the front of the stream, however the
// reads cut it. The bytes of a mere beginning of one belong to the first line.
func (r *Reader) skipBOM() {
	for r.bomSeen < len(byteOrderMark) && r.start < r.end {
		if r.buf[r.start] != byteOrderMark[r.bomSeen] {
			if r.bomSeen > 0 {
				r.line = append(r.line, byteOrderMark[:r.bomSeen]...)
				r.inLine = true
			}
			r.bomSeen = len(byteOrderMark)
			return
		}
		r.bomSeen++
		r.start++
	}
}

// field processes one field line.
func (r *Reader) field(line []byte) {
	name, value, _ := bytes.Cut(line, []byte{':'})
	if len(value) > 0 && value[0] == ' ' {
		value = value[1:]
	}
	switch string(name) {
	case "data":
		r.data = appendDecoded(r.data, value)
		r.data = append(r.data, '\n')
	case "event":
		r.eventType = decode(value)
	case "id":
		if bytes.IndexByte(value, 0) < 0 {
			r.idBuffer = decode(value)
		}
	case "retry":
		if d, ok := parseRetry(value); ok {
			r.retry, r.newRetry, r.retried = d, d, true
		}
	}
}

// dispatch ends a block. Only a block with a data line is an event; the last
// event ID takes effect either way.
func (r *Reader) dispatch() (Event, bool) {
	r.lastID = r.idBuffer
	eventType := r.eventType
	r.size, r.eventType = 0, ""
	if len(r.data) == 0 {
		return Event{}, false
	}
	event := Event{
		ID:    r.lastID,
		Event: eventType,
		Data:  string(r.data[:len(r.data)-1]),
		Retry: r.newRetry,
	}
	r.data, r.newRetry = r.data[:0], 0
	return event, true
}

// parseRetry reads milliseconds. Anything but ASCII digits is no value; more
// than a Duration holds is the longest that it does.
func parseRetry(value []byte) (time.Duration, bool) {
	const limit = math.MaxInt64 / int64(time.Millisecond)
	if len(value) == 0 {
		return 0, false
	}
	var ms int64
	for _, c := range value {
		if c < '0' || c > '9' {
			return 0, false
		}
		ms = min(ms*10+int64(c-'0'), limit)
	}
	return time.Duration(ms) * time.Millisecond, true
}

func decode(value []byte) string {
	if utf8.Valid(value) {
		return string(value)
	}
	return string(appendDecoded(nil, value))
}

// appendDecoded appends value as the UTF-8 decoder of the Encoding Standard
// delivers it: one U+FFFD for each maximal piece that begins a character
// without finishing it, and for each byte that begins none. Lines can be
// decoded one by one, since a line end finishes any piece.
func appendDecoded(dst, value []byte) []byte {
	if utf8.Valid(value) {
		return append(dst, value...)
	}
	for len(value) > 0 {
		c, n := utf8.DecodeRune(value)
		if c == utf8.RuneError && n == 1 {
			for n < len(value) && !utf8.FullRune(value[:n+1]) {
				n++
			}
			dst = utf8.AppendRune(dst, utf8.RuneError)
		} else {
			dst = append(dst, value[:n]...)
		}
		value = value[n:]
	}
	return dst
}
