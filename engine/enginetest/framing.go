package enginetest

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/goceleris/celeris/internal/fanout"
	"github.com/goceleris/celeris/internal/sseparse"
)

// framing writes server-sent events.
type framing struct{}

var _ fanout.Framing = framing{}

func (framing) MaxStamp(epoch string) int { return len("id: -\n") + len(epoch) + 20 }

func (framing) AppendStamp(b []byte, epoch string, p fanout.Position) []byte {
	return append(fanout.AppendID(append(b, "id: "...), epoch, p), '\n')
}

func (f framing) AppendNotice(b []byte, n fanout.Notice) []byte {
	if n.Stamped {
		b = f.AppendStamp(b, n.Epoch, n.Position)
	}
	return fmt.Appendf(b, "event: resync\ndata: %d %s\n\n", n.Dropped, n.Reason)
}

func (framing) AppendConflated(b []byte, n int) []byte {
	return fmt.Appendf(b, "event: conflated\ndata: %d\n\n", n)
}

func (f framing) AppendPosition(b []byte, epoch string, p fanout.Position) []byte {
	return append(f.AppendStamp(b, epoch, p), '\n')
}

// Kinds of a block.
const (
	kindNone      = ""          // an id, a retry or a comment
	kindEvent     = "event"     // n is its number
	kindPrivate   = "private"   // n is its number
	kindResync    = "resync"    // n frames were lost
	kindConflated = "conflated" // n frames were skipped
	kindLost      = "lost"      // n private frames
	kindBye       = "bye"
)

const comment = ":\n\n"

// body is the frame of event n with so many bytes of padding; its length is in it.
func body(n, pad int) []byte {
	return fmt.Appendf(nil, "event: event\ndata: %d %d %s\n\n", n, pad, strings.Repeat("x", pad))
}

func privateBody(n int) []byte { return fmt.Appendf(nil, "event: private\ndata: %d\n\n", n) }

func bye(reason string) []byte { return fmt.Appendf(nil, "event: bye\ndata: 0 %s\n\n", reason) }

// block is what stands between two blank lines.
type block struct {
	kind    string
	n       int
	reason  string
	id      bool // it has one
	pos     fanout.Position
	comment bool
	opening bool // it has a reconnection time
}

// corrupt is a block that nobody sent.
type corrupt string

func (c corrupt) Error() string { return fmt.Sprintf("corrupt block %.200q", string(c)) }

// parse reads one block, its blank line included. A line that no frame has is an error, also where a browser would
// take it.
func parse(p *sseparse.Parser, epoch string, text []byte) (b block, err error) {
	bad := corrupt(text)
	for line := range strings.SplitSeq(strings.TrimSuffix(string(text), "\n\n"), "\n") {
		switch name, _, _ := strings.Cut(line, ": "); name {
		case ":":
			b.comment = true
		case "id":
			b.id = true
		case "retry":
			b.opening = true
		case "event", "data":
		default:
			return b, bad
		}
	}
	events, data := 0, ""
	p.Feed(text, func(_, event, d string) { events, b.kind, data = events+1, event, d })
	if b.id {
		e, pos, ok := fanout.ParseID(p.LastID())
		if !ok || e != epoch {
			return b, bad
		}
		b.pos = pos
	}
	if events == 0 {
		return b, nil
	}
	number, rest, _ := strings.Cut(data, " ")
	if b.n, err = strconv.Atoi(number); err != nil || events > 1 || b.comment {
		return b, bad
	}
	switch b.kind {
	case kindEvent:
		length, pad, _ := strings.Cut(rest, " ")
		if n, err := strconv.Atoi(length); err != nil || pad != strings.Repeat("x", n) {
			return b, bad
		}
	case kindResync, kindBye:
		b.reason = rest
	case kindPrivate, kindLost, kindConflated:
		if rest != "" {
			return b, bad
		}
	default:
		return b, bad
	}
	return b, nil
}
