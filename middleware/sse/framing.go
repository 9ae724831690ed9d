package sse

import (
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/goceleris/celeris/internal/fanout"
)

// framing is how positions and losses look in an event stream.
type framing struct{}

var _ fanout.Framing = framing{}

const idField = "id: "

// MaxStamp implements [fanout.Framing].
func (framing) MaxStamp(epoch string) int {
	return len(idField) + len(epoch) + len("-18446744073709551615\n")
}

// AppendStamp implements [fanout.Framing].
func (framing) AppendStamp(b []byte, epoch string, p fanout.Position) []byte {
	b = append(b, idField...)
	b = fanout.AppendID(b, epoch, p)
	return append(b, '\n')
}

// AppendPosition implements [fanout.Framing]: a block with nothing but an id dispatches nothing and is
// remembered for the next reconnect (HTML 9.2.6).
func (f framing) AppendPosition(b []byte, epoch string, p fanout.Position) []byte {
	return append(f.AppendStamp(b, epoch, p), '\n')
}

// AppendConflated implements [fanout.Framing].
func (framing) AppendConflated(b []byte, n int) []byte {
	b = append(b, "event: conflated\ndata: {\"skipped\":"...)
	b = strconv.AppendInt(b, int64(n), 10)
	return append(b, "}\n\n"...)
}

// AppendNotice implements [fanout.Framing].
func (f framing) AppendNotice(b []byte, n fanout.Notice) []byte {
	if n.Stamped {
		b = f.AppendStamp(b, n.Epoch, n.Position)
	}
	b = append(b, "event: resync\ndata: {\"dropped\":"...)
	b = strconv.AppendInt(b, int64(n.Dropped), 10)
	b = append(b, ",\"reason\":\""...)
	b = append(b, n.Reason...)
	return append(b, "\"}\n\n"...)
}

// appendPlace appends the id that a client came with. The id of a new stream starts empty, and its first blank line
// would make the client forget its own (HTML 9.2.6): cut before the stream has given it another, it would come back as
// a stranger. An id that can't be written is left out.
func appendPlace(b []byte, id string) []byte {
	if id == "" || strings.ContainsAny(id, "\r\n\x00") || !utf8.ValidString(id) {
		return b
	}
	b = append(b, idField...)
	b = append(b, id...)
	return append(b, '\n')
}

// appendRetry appends a reconnection time as a field, in milliseconds.
func appendRetry(b []byte, d time.Duration) []byte {
	b = append(b, "retry: "...)
	b = strconv.AppendInt(b, d.Milliseconds(), 10)
	return append(b, '\n')
}
