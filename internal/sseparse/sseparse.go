// Package sseparse is a small parser of event streams for tests: a state
// machine that looks at one byte at a time, straight from the text of WHATWG
// HTML 9.2.6 and of the UTF-8 decoder in the Encoding Standard. It shares
// nothing with the parser that package sse offers, so that the two, and the
// server, can be judged by each other. It has no limits and is not fast.
package sseparse

import (
	"strings"
	"time"
)

// state is where in a line the parser is.
type state uint8

const (
	inName state = iota
	afterColon
	inValue
	inComment
)

// Parser is the state between two pieces of a stream. The zero value is ready
// for the first byte. It is for one goroutine at a time.
type Parser struct {
	decoder decoder
	started bool // a character has been seen: no byte order mark from here on
	afterCR bool
	state   state
	begun   bool // the line has a character
	name    strings.Builder
	value   strings.Builder

	data      strings.Builder
	eventType string
	idBuffer  string
	lastID    string
	retry     time.Duration
}

// Feed parses the next bytes of the stream and calls emit for each event that
// they complete. An event of the default type has an empty one; id is the last
// event ID at that point.
func (p *Parser) Feed(b []byte, emit func(id, event, data string)) {
	for _, c := range b {
		p.decoder.decode(c, func(r rune) { p.step(r, emit) })
	}
}

// LastID returns the last event ID as of the last blank line.
func (p *Parser) LastID() string { return p.lastID }

// Retry returns the reconnection time that was set last, zero if none was.
func (p *Parser) Retry() time.Duration { return p.retry }

func (p *Parser) step(r rune, emit func(id, event, data string)) {
	if !p.started {
		p.started = true
		if r == 0xFEFF {
			return
		}
	}
	afterCR := p.afterCR
	p.afterCR = r == '\r'
	switch r {
	case '\n':
		if !afterCR {
			p.endLine(emit)
		}
		return
	case '\r':
		p.endLine(emit)
		return
	}
	switch p.state {
	case inName:
		switch {
		case r == ':' && !p.begun:
			p.state = inComment
		case r == ':':
			p.state = afterColon
		default:
			p.name.WriteRune(r)
		}
	case afterColon:
		p.state = inValue
		if r != ' ' {
			p.value.WriteRune(r)
		}
	case inValue:
		p.value.WriteRune(r)
	case inComment:
	}
	p.begun = true
}

func (p *Parser) endLine(emit func(id, event, data string)) {
	name, value := p.name.String(), p.value.String()
	wasComment, begun := p.state == inComment, p.begun
	p.name.Reset()
	p.value.Reset()
	p.state, p.begun = inName, false
	switch {
	case !begun:
		p.blankLine(emit)
	case wasComment:
	case name == "event":
		p.eventType = value
	case name == "data":
		p.data.WriteString(value)
		p.data.WriteByte('\n')
	case name == "id":
		if !strings.ContainsRune(value, 0) {
			p.idBuffer = value
		}
	case name == "retry":
		p.setRetry(value)
	}
}

func (p *Parser) blankLine(emit func(id, event, data string)) {
	p.lastID = p.idBuffer
	data, eventType := p.data.String(), p.eventType
	p.data.Reset()
	p.eventType = ""
	if data == "" {
		return
	}
	emit(p.lastID, eventType, strings.TrimSuffix(data, "\n"))
}

// setRetry takes digits for milliseconds and stops counting at the longest
// Duration.
func (p *Parser) setRetry(value string) {
	if value == "" || strings.Trim(value, "0123456789") != "" {
		return
	}
	var d time.Duration
	for _, digit := range value {
		const longest = (1<<63 - 1) / time.Millisecond
		if d > (longest-time.Duration(digit-'0'))/10 {
			d = longest
			break
		}
		d = d*10 + time.Duration(digit-'0')
	}
	p.retry = d * time.Millisecond //nolint:durationcheck // d is a plain number
}
