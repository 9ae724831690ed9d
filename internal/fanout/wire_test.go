package fanout

import (
	"fmt"
	"strconv"
	"strings"
)

// textFraming is a small protocol in the style of server-sent events.
type textFraming struct{}

func (textFraming) MaxStamp(epoch string) int { return len("id: -\n") + len(epoch) + 20 }

func (textFraming) AppendStamp(b []byte, epoch string, p Position) []byte {
	return append(AppendID(append(b, "id: "...), epoch, p), '\n')
}

func (f textFraming) AppendNotice(b []byte, n Notice) []byte {
	if n.Stamped {
		b = f.AppendStamp(b, n.Epoch, n.Position)
	}
	return fmt.Appendf(b, "event: resync\ndata: %s %d\n\n", n.Reason, n.Dropped)
}

func (textFraming) AppendConflated(b []byte, n int) []byte {
	return fmt.Appendf(b, "event: conflated\ndata: %d\n\n", n)
}

func (f textFraming) AppendPosition(b []byte, epoch string, p Position) []byte {
	return append(f.AppendStamp(b, epoch, p), '\n')
}

// Kinds of a block.
const (
	kindNone    = ""        // only an id or a retry
	kindEvent   = "event"   // data: e<n>
	kindPrivate = "private" // data: p<n>
	kindResync  = "resync"  // data: <reason> <n>
	kindSnap    = "snap"    // data: <position> <reason> <n>
	kindLost    = "lost"    // data: <n>
	kindBye     = "bye"
	kindSkipped = "conflated" // data: <n>
)

func eventBody(n, pad int) []byte {
	return fmt.Appendf(nil, "data: e%d%s\n\n", n, strings.Repeat(".", pad))
}

// eventTwin is the other wording of an event, for that window: as long, and as good if there is no padding.
func eventTwin(n, pad int, window uint8) []byte {
	return fmt.Appendf(nil, "data: e%d%s\n\n", n, strings.Repeat(string('a'+rune(window)), pad))
}

func privateBody(n int) []byte { return fmt.Appendf(nil, "data: p%d\n\n", n) }

func snapBody(n Notice) []byte {
	return fmt.Appendf(nil, "event: snap\ndata: %d %s %d\n\n", n.Position, n.Reason, n.Dropped)
}

// block is what a client makes of one frame.
type block struct {
	id     string // "" when there is none
	epoch  string
	pos    Position
	kind   string
	n      int
	window uint8 // that it takes to read it
	reason string
	asOf   Position // of a snapshot
}

// parseBlock reads a frame without its blank line; anything it does not know is an error.
func parseBlock(text string) (b block, err error) {
	bad := fmt.Errorf("corrupt frame %q", text)
	var data string
	for line := range strings.SplitSeq(text, "\n") {
		name, value, ok := strings.Cut(line, ": ")
		switch {
		case ok && name == "id" && b.id == "":
			if b.id = value; value == "" {
				return b, bad
			}
		case ok && name == "event" && (value == kindResync || value == kindSnap || value == kindLost || value == kindBye || value == kindSkipped):
			b.kind = value
		case ok && name == "data" && data == "":
			data = value
		case ok && name == "retry" && value == "1":
		default:
			return b, bad
		}
	}
	if b.id != "" {
		epoch, number, ok := strings.Cut(b.id, "-")
		pos, e := strconv.ParseUint(number, 10, 64)
		if !ok || e != nil {
			return b, bad
		}
		b.epoch, b.pos = epoch, Position(pos)
	}
	fields := strings.Fields(data)
	number := func(s string) int {
		n, e := strconv.Atoi(s)
		if e != nil {
			err = bad
		}
		return n
	}
	switch {
	case b.kind == kindResync && len(fields) == 2:
		b.reason, b.n = fields[0], number(fields[1])
	case b.kind == kindSnap && len(fields) == 3:
		b.asOf, b.reason, b.n = Position(number(fields[0])), fields[1], number(fields[2])
	case (b.kind == kindLost || b.kind == kindSkipped) && len(fields) == 1:
		b.n = number(fields[0])
	case b.kind == kindBye && len(fields) == 1:
	case b.kind == kindNone && data == "":
	case b.kind == kindNone && data[0] == 'e':
		last := data[len(data)-1]
		if last >= 'a' {
			b.window = last - 'a'
		}
		digits := strings.TrimRight(data[1:], string(last))
		if last >= '0' && last <= '9' {
			digits = data[1:]
		}
		b.kind, b.n = kindEvent, number(digits)
	case b.kind == kindNone && data[0] == 'p':
		b.kind, b.n = kindPrivate, number(data[1:])
	default:
		err = bad
	}
	return b, err
}
