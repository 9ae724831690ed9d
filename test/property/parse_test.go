package property

import (
	"bytes"
	"strconv"
	"strings"

	"github.com/goceleris/celeris/internal/sseparse"
)

// block is what a blank line completes.
type block struct {
	lastID     string // the last event ID from here on
	dispatched bool   // there is an event
	kind, data string
}

// parser reads a stream as a browser does. lines is quick and knows only what the server writes; whole is slow and
// goes by the letter of the standard.
type parser interface {
	feed(b []byte, on func(block))
}

// lines is a parser for streams whose lines end with LF. Its id buffer starts as the caller says: some browsers
// seed it with the id they resumed from, others start empty as the standard has it.
type lines struct {
	rest    []byte // the beginning of a line
	id      string
	kind    string
	data    []byte
	hasData bool
}

func (p *lines) feed(b []byte, on func(block)) {
	for {
		line, rest, ok := bytes.Cut(b, []byte("\n"))
		if !ok {
			p.rest = append(p.rest, b...)
			return
		}
		if len(p.rest) > 0 {
			p.rest = append(p.rest, line...)
			p.line(p.rest, on)
			p.rest = p.rest[:0]
		} else {
			p.line(line, on)
		}
		b = rest
	}
}

func (p *lines) line(line []byte, on func(block)) {
	if len(line) == 0 {
		d := block{lastID: p.id, dispatched: p.hasData, kind: p.kind}
		if p.hasData {
			d.data = string(p.data)
		}
		p.kind, p.data, p.hasData = "", p.data[:0], false
		on(d)
		return
	}
	name, value, _ := bytes.Cut(line, []byte(": "))
	switch string(name) {
	case "id":
		p.id = string(value)
	case "event":
		p.kind = string(value)
	case "data", "data:":
		if p.hasData {
			p.data = append(p.data, '\n')
		}
		p.data, p.hasData = append(p.data, value...), true
	}
}

// whole is the reference parser.
type whole struct {
	p       sseparse.Parser
	partial bool
}

func (w *whole) feed(b []byte, on func(block)) {
	for len(b) > 0 {
		n := bytes.IndexByte(b, '\n') + 1
		complete := n > 0
		if !complete {
			n = len(b)
		}
		blank := complete && n == 1 && !w.partial
		w.partial = !complete
		d := block{}
		w.p.Feed(b[:n], func(_, kind, data string) { d.dispatched, d.kind, d.data = true, kind, data })
		if blank {
			d.lastID = w.p.LastID()
			on(d)
		}
		b = b[n:]
	}
}

// position splits an id.
func position(id string) (epoch string, p uint64, ok bool) {
	epoch, digits, ok := strings.Cut(id, "-")
	if !ok {
		return "", 0, false
	}
	p, err := strconv.ParseUint(digits, 10, 64)
	return epoch, p, err == nil
}
