package loadgen

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// Streams says which streams [Fleet.Open] opens.
type Streams struct {
	// Path is requested. "{topic}" in it stands for 0, 1, … Topics-1, in turn.
	Path string
	// Topics is how many there are. Zero means 1.
	Topics int
	// N is how many streams are opened.
	N int
	// Stalled streams have a small receive buffer and are never read again once they have begun.
	Stalled bool
	// WebSocket opens WebSockets: each text message begins with a number.
	WebSocket bool
	// Deflate offers permessage-deflate without context takeover. Numbers of compressed messages are not read: the next one
	// is taken for granted, so none is ever missing, but fewer are delivered.
	Deflate bool
}

// Open opens streams whose events begin with a number: 1, 2, 3 and so on, for each topic. It returns when each has the
// head of its response. A response may be chunked or end with its connection. addr is an IPv4 address with a port.
func (f *Fleet) Open(addr string, s Streams) (Group, error) {
	flags := 0
	for i, set := range []bool{s.Stalled, s.WebSocket, s.Deflate} {
		if set {
			flags |= 1 << i
		}
	}
	if _, err := f.ask("open %s %s %d %d %d", addr, s.Path, s.N, max(s.Topics, 1), flags); err != nil {
		return 0, fmt.Errorf("loadgen: open: %w", err)
	}
	f.groups++
	return Group(f.groups - 1), nil
}

// Tally is what has come to the streams of a group since they were opened.
type Tally struct {
	// Reached is how many streams have the number that was waited for, or a higher one.
	Reached int
	// Delivered counts events with a number.
	Delivered int64
	// Missing counts numbers that a stream passed over; what is behind the last number of a stream isn't counted.
	Missing int64
	// Duplicates counts numbers that came again, or behind a higher one.
	Duplicates int64
	// Notices counts lines of data that don't begin with a number.
	Notices int64
}

// Reach waits until all streams of a group have the number, for patience at most. That some don't is no error: see
// [Tally.Reached]. A stream that ends is one.
func (f *Fleet) Reach(g Group, number int64, patience time.Duration) (Tally, error) {
	answer, err := f.ask("reach %d %d %d", g, number, patience)
	if err != nil {
		return Tally{}, fmt.Errorf("loadgen: reach: %w", err)
	}
	var t Tally
	if _, err := fmt.Sscan(answer, &t.Reached, &t.Delivered, &t.Missing, &t.Duplicates, &t.Notices); err != nil {
		return Tally{}, fmt.Errorf("loadgen: reach: %q: %w", answer, err)
	}
	return t, nil
}

// Echo has each WebSocket of a group send a message of size bytes, with the numbers from, from+1 and so on, and waits until
// the echo of each has come to all before it sends the next, for half a minute at most.
func (f *Fleet) Echo(g Group, from int64, count, size int) error {
	for i := range int64(count) {
		if _, err := f.ask("echo %d %d %d", g, from+i, size); err != nil {
			return fmt.Errorf("loadgen: echo: %w", err)
		}
	}
	return nil
}

// Align has all streams of a group count on from a number, whatever they have got. It is for messages whose numbers can't be
// read, when none is under way.
func (f *Fleet) Align(g Group, number int64) error {
	if _, err := f.ask("align %d %d", g, number); err != nil {
		return fmt.Errorf("loadgen: align: %w", err)
	}
	return nil
}

// Arrival is when a number was read: from the first and from the last stream that had it, and from how many.
type Arrival struct {
	Streams     int
	First, Last time.Time
}

// Watch takes down the arrivals of count numbers from one on, in the place of what was watched before. What arrives is
// seen when the client looks: while it waits in [Fleet.Reach], and after a nap (see [Fleet.Relax]).
func (f *Fleet) Watch(g Group, from int64, count int) error {
	if _, err := f.ask("watch %d %d %d", g, from, count); err != nil {
		return fmt.Errorf("loadgen: watch: %w", err)
	}
	return nil
}

// Arrivals returns what [Fleet.Watch] has seen.
func (f *Fleet) Arrivals(g Group) ([]Arrival, error) {
	answer, err := f.ask("arrivals %d", g)
	if err != nil {
		return nil, fmt.Errorf("loadgen: arrivals: %w", err)
	}
	var seen []Arrival
	for fields := range slices.Chunk(strings.Fields(answer), 3) {
		var a Arrival
		var first, last int64
		if _, err := fmt.Sscan(strings.Join(fields, " "), &a.Streams, &first, &last); err != nil {
			return nil, fmt.Errorf("loadgen: arrivals: %q: %w", fields, err)
		}
		if a.Streams > 0 {
			a.First, a.Last = time.Unix(0, first), time.Unix(0, last)
		}
		seen = append(seen, a)
	}
	return seen, nil
}

// Relax keeps the client out of the server's way: it looks at its sockets after a nap instead of being woken by each
// packet, which would be the sender's work, and runs as a batch job. It reports whether the system allowed that.
func (f *Fleet) Relax(nap time.Duration) (batch bool, err error) {
	answer, err := f.ask("relax %d", nap)
	if err != nil {
		return false, fmt.Errorf("loadgen: relax: %w", err)
	}
	return strings.TrimSpace(answer) == "true", nil
}

// CPU returns the processor time that the client has used.
func (f *Fleet) CPU() (time.Duration, error) {
	answer, err := f.ask("usage")
	if err != nil {
		return 0, fmt.Errorf("loadgen: usage: %w", err)
	}
	var ns int64
	if _, err := fmt.Sscan(answer, &ns); err != nil {
		return 0, fmt.Errorf("loadgen: usage: %q: %w", answer, err)
	}
	return time.Duration(ns), nil
}
