package fanout

import (
	"bytes"
	"slices"
)

// span is a membership by the oracle's own account.
type span struct {
	topic       int
	from, until Position
}

// client is a browser: it parses bytes, remembers the last id and comes back with it. It is the oracle too: it
// knows what it is due and objects to every block that breaks a promise.
type client struct {
	w      *world
	i      int
	want   uint64 // topics, a bit each
	conn   *conn
	lastID string
	buf    []byte

	life     string   // epoch of what follows
	pos      Position // how far the stream has told the client that it is
	spans    []span
	seen     map[int]bool
	got      bool     // a block that told it something, in this life
	mustTell bool     // its first block must be a notice
	newest   Position // newest event seen
	noticed  Position // newest notice or snapshot
	barrier  Position // of the newest private frame on this connection
	conflate bool     // a verdict said so, once
	passed   int      // obsolete events that ids passed, since it was told of any
	removed  bool
	left     bool // a farewell came
	privates []int
}

// open tells the oracle of a new connection; head is where one without an id begins.
func (c *client) open(epoch string, head Position) {
	c.buf, c.spans, c.privates = nil, nil, nil
	c.removed, c.left, c.mustTell, c.barrier, c.passed = false, false, false, 0, 0
	if c.life != epoch || (c.lastID == "" && !c.got) {
		c.mustTell = c.lastID != ""
		c.life, c.pos, c.got = epoch, head, false
		c.seen, c.newest, c.noticed = map[int]bool{}, 0, 0
	}
	for t := range c.w.topics {
		if c.want>>t&1 == 1 {
			c.spans = append(c.spans, span{t, c.pos, forever})
		}
	}
}

// window is for which twins it has room, if any.
func (c *client) window() uint8 {
	if !c.w.twins {
		return 0
	}
	return []uint8{0, 9, 15, 10, 11}[c.i%5]
}

func (c *client) join(topic int, head Position) {
	c.want |= 1 << topic
	c.spans = append(c.spans, span{topic, head, forever})
}

func (c *client) leave(topic int, head Position) {
	c.want &^= 1 << topic
	for i := range c.spans {
		if s := &c.spans[i]; s.topic == topic && s.until == forever {
			s.until = head
		}
	}
}

// read takes up to n bytes from the kernel.
func (c *client) read(n int) {
	if c.conn == nil {
		return
	}
	n = min(n, len(c.conn.kernel))
	c.buf = append(c.buf, c.conn.kernel[:n]...)
	c.conn.kernel = c.conn.kernel[n:]
	for {
		i := bytes.Index(c.buf, []byte("\n\n"))
		if i < 0 {
			break
		}
		c.block(string(c.buf[:i]))
		c.buf = c.buf[i+2:]
	}
	if c.conn.ended && len(c.conn.kernel)+len(c.conn.pending) == 0 {
		c.eof()
	}
}

// eof is a stream that ended by itself.
func (c *client) eof() {
	if len(c.buf) > 0 {
		c.w.fail("client %d: ends within a frame: %q", c.i, c.buf)
	}
	if c.conn.finished && !c.left {
		c.w.fail("client %d: ends without a farewell", c.i)
	}
	if c.conn.finished && !slices.Equal(c.privates, c.conn.accepted) {
		c.w.fail("client %d: private frames %v, want %v", c.i, c.privates, c.conn.accepted)
	}
	c.conn = nil
}

func (c *client) cut() {
	if c.conn != nil {
		c.conn.end(errCut)
		c.conn = nil
	}
}

func (c *client) due(e *event) bool {
	return slices.ContainsFunc(c.spans, func(s span) bool {
		return e.topics>>s.topic&1 == 1 && s.from < e.pos && e.pos <= s.until
	})
}

// missed lists events in (from, to] that are due and that the client has not seen.
func (c *client) missed(from, to Position) (out []*event) {
	for _, e := range c.w.published(c.life, from, to) {
		if c.due(e) && !c.seen[e.n] {
			out = append(out, e)
		}
	}
	return out
}

// block judges one frame.
func (c *client) block(text string) {
	w := c.w
	w.log("client %d parses %q at %d", c.i, text, c.pos)
	b, err := parseBlock(text)
	if err != nil {
		w.fail("client %d: %v", c.i, err)
		return
	}
	if c.left {
		w.fail("client %d: %q behind the farewell", c.i, text)
	}
	to := c.pos
	if b.id != "" {
		switch c.lastID, to = b.id, b.pos; {
		case b.epoch != c.life:
			w.fail("client %d: id %q of another epoch than %q", c.i, b.id, c.life)
			return
		case to < c.pos:
			w.fail("client %d: id goes back from %d to %d", c.i, c.pos, to)
			return
		case c.removed:
			w.fail("client %d: id %q behind its removal", c.i, b.id)
		}
	}
	c.got = c.got || b.id != "" || (w.cfg.Snapshot == nil && !c.conn.late)
	told := b.kind == kindResync || b.kind == kindSnap
	if c.mustTell && !told && (b.id != "" || b.kind == kindEvent) {
		w.fail("client %d: %q before the notice", c.i, text)
	}
	switch b.kind {
	case kindResync, kindSnap:
		c.notice(b, to)
	case kindPrivate:
		c.private(b.n)
	case kindEvent:
		if b.window > c.window() {
			c.w.fail("client %d: a twin for a window of %d, it has %d", c.i, b.window, c.window())
		}
		c.event(b, to)
	case kindSkipped:
		if b.n != c.passed {
			w.fail("client %d: told of %d skipped, oracle says %d", c.i, b.n, c.passed)
		}
		c.passed = 0
	case kindBye:
		c.left = true
	}
	if b.id == "" {
		return
	}
	x := c.missed(c.pos, to)
	if !told && c.conflate {
		n := len(x)
		x = slices.DeleteFunc(x, func(e *event) bool { return w.obsolete(c, e) })
		c.passed += n - len(x)
	}
	if told {
		c.passed = 0
	} else if len(x) > 0 {
		w.fail("client %d: id passes from %d to %d over the event at %d and %d more", c.i, c.pos, to, x[0].pos, len(x)-1)
	}
	c.pos = to
}

func (c *client) notice(b block, to Position) {
	w := c.w
	if b.id == "" {
		c.removed = b.reason == Removed
		return
	}
	if n := len(c.missed(c.pos, to)); b.n != 0 && b.n != n {
		w.fail("client %d: told of %d dropped, oracle says %d in (%d, %d]", c.i, b.n, n, c.pos, to)
	}
	if b.kind == kindSnap && b.asOf != to {
		w.fail("client %d: snapshot as of %d under id %d", c.i, b.asOf, to)
	}
	if c.newest > to {
		w.fail("client %d: notice at %d behind event at %d", c.i, to, c.newest)
	}
	if c.barrier > to {
		w.fail("client %d: notice at %d behind a private frame of %d", c.i, to, c.barrier)
	}
	c.mustTell, c.noticed = false, to
}

func (c *client) private(n int) {
	bar := c.w.barriers[n]
	if c.newest > bar {
		c.w.fail("client %d: private frame queued at %d behind event at %d", c.i, bar, c.newest)
	}
	if c.noticed > bar {
		c.w.fail("client %d: private frame queued at %d behind notice at %d", c.i, bar, c.noticed)
	}
	c.barrier = max(c.barrier, bar)
	c.privates = append(c.privates, n)
}

func (c *client) event(b block, at Position) {
	w := c.w
	e := w.event(c.life, b.n)
	switch {
	case b.id == "" || e == nil || e.pos != at:
		w.fail("client %d: event %d under id %q", c.i, b.n, b.id)
		return
	case c.seen[b.n]:
		w.fail("client %d: event %d twice", c.i, b.n)
	case !c.due(e):
		w.fail("client %d: event at %d is not its own", c.i, at)
	case c.barrier >= at:
		w.fail("client %d: event at %d behind a private frame of %d", c.i, at, c.barrier)
	}
	c.seen[b.n] = true
	c.newest = max(c.newest, at)
	w.delivered++
}
