package enginetest

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"syscall"
	"time"

	"github.com/goceleris/celeris/internal/fanout"
	"github.com/goceleris/celeris/internal/park"
	"github.com/goceleris/celeris/internal/sseparse"
)

// span is a membership by the viewer's own account.
type span struct {
	topic       int
	from, until fanout.Position
}

// viewer is a browser: it parses bytes, remembers the last id and comes back with it. It knows what it is due and
// objects to every block that breaks a promise.
type viewer struct {
	w      *world
	i      int
	want   set
	link   *link
	still  bool // it does not read by itself
	lastID string

	parser *sseparse.Parser
	begun  bool   // the HTTP head is over, if there was one
	rest   []byte // of the block that has begun

	pos      fanout.Position // how far the stream has told it that it is
	spans    []span
	seen     map[int]bool
	mustTell string          // the reason of the notice that has to be its first block
	lagging  bool            // it was so far behind that it may be told so
	newest   fanout.Position // event seen
	noticed  fanout.Position // notice
	barrier  fanout.Position // of the newest private frame on this connection
	passed   int             // events that later ones made obsolete, since the last notice
	removed  bool
	farewell bool
	privates []int

	resyncs   []block
	conflated int
	beats     []time.Time // comments and ids without an event
	comments  int
	sent      int // private frames, on all connections
	farewells int
}

func (v *viewer) String() string { return fmt.Sprintf("viewer %d", v.i) }

// connect opens a stream where the viewer is.
func (v *viewer) connect() *link {
	w := v.w
	l := &link{v: v, buffer: w.buffer, read: time.Now()}
	pace := w.pace
	s := &Stream{Parking: park.Parking{Pace: &pace, Owner: l, Born: time.Now()}}
	l.stream, v.link = s, l
	if w.ears != nil {
		s.Parking.Inbound, s.Parking.Early = w.ears(l), []byte(w.early)
	}
	s.Member = fanout.NewMember(s, l, 4)

	v.parser, v.rest, v.begun, v.spans, v.privates = &sseparse.Parser{}, nil, false, nil, nil
	v.removed, v.farewell, v.lagging, v.barrier, v.passed, v.mustTell = false, false, false, 0, 0, ""
	head := w.core.Head()
	switch epoch, p, ok := fanout.ParseID(v.lastID); {
	case v.lastID == "":
		v.pos, v.newest, v.noticed = head, 0, 0
	case !ok || epoch == w.core.Epoch() && p > head:
		v.pos, v.mustTell = head, fanout.UnknownID
	case epoch != w.core.Epoch():
		v.pos, v.mustTell = head, fanout.Restarted
	default:
		v.pos = p
	}
	for t := range 8 {
		if v.want>>t&1 == 1 {
			v.spans = append(v.spans, span{t, v.pos, forever})
			if v.mustTell == "" && w.gone(t, v.pos) {
				v.mustTell = fanout.Expired
			}
		}
	}
	if err := w.core.Open(s.Member, v.lastID, v.want.names()...); err != nil {
		w.t.Fatal(err)
	}
	s.First = []byte("retry: 1\n")
	if epoch, p, stamped := s.Member.Start(); stamped {
		s.First = framing{}.AppendStamp(s.First, epoch, p)
	}
	s.First = append(s.First, '\n')
	l.conn = w.rig.Open(s, w.buffer)
	w.mu.Lock()
	w.links = append(w.links, l)
	v.mayLag()
	w.mu.Unlock()
	return l
}

func (v *viewer) join(t int) {
	if err := v.w.core.Join(v.link.stream.Member, topic(t)); errors.Is(err, fanout.ErrEnded) {
		return
	} else if err != nil {
		v.w.fail("join: %v", err)
	}
	v.want |= 1 << t
	v.spans = append(v.spans, span{t, v.w.core.Head(), forever})
}

func (v *viewer) leave(t int) {
	v.want &^= 1 << t
	for i := range v.spans {
		if s := &v.spans[i]; s.topic == t && s.until == forever {
			s.until = v.w.core.Head()
		}
	}
	v.w.core.Leave(v.link.stream.Member, topic(t))
}

// mayLag notes whether the viewer is beyond the limits of lag. The stream itself may be ahead of it.
func (v *viewer) mayLag() {
	frames, size := 0, 0
	for _, e := range v.w.published(v.pos, forever) {
		if v.due(e) {
			frames, size = frames+1, size+e.size
		}
	}
	v.lagging = v.lagging || frames > v.w.cfg.SubscriberBuffer || size > v.w.cfg.MaxLagBytes
}

// pull reads up to n bytes that are there.
func (v *viewer) pull(n int) (got int) {
	for got < n && v.link != nil {
		l := v.link
		k, err := l.conn.TryRead(v.w.buf[:min(len(v.w.buf), n-got)])
		if got += k; k > 0 {
			v.w.mu.Lock()
			if len(l.ends) == 0 {
				l.read = time.Now()
			}
			v.w.mu.Unlock()
			v.feed(v.w.buf[:k])
		}
		if errors.Is(err, syscall.EAGAIN) {
			break
		}
		if err != nil {
			v.over(err)
		}
	}
	return got
}

func (v *viewer) feed(p []byte) {
	if v.link.turned {
		return
	}
	v.rest = append(v.rest, p...)
	if v.begun {
		v.link.got += len(p)
	}
	if !v.begun {
		switch http := []byte("HTTP/"); {
		case len(v.rest) < len(http) && bytes.HasPrefix(http, v.rest):
			return
		case bytes.HasPrefix(v.rest, http):
			i := bytes.Index(v.rest, []byte("\r\n\r\n"))
			if i < 0 {
				return
			}
			if !bytes.HasPrefix(v.rest, []byte("HTTP/1.1 200 ")) {
				v.link.turned, v.rest = true, nil
				return
			}
			v.rest = v.rest[i+4:]
		}
		v.begun, v.link.got = true, len(v.rest)
	}
	for {
		i := bytes.Index(v.rest, []byte("\n\n"))
		if i < 0 {
			return
		}
		b, err := parse(v.parser, v.w.core.Epoch(), v.rest[:i+2])
		if err != nil {
			v.w.fail("%v: %v", v.link, err)
		} else {
			v.block(b)
		}
		v.rest = append(v.rest[:0], v.rest[i+2:]...)
	}
}

// over is the end of the stream.
func (v *viewer) over(err error) {
	l, w := v.link, v.w
	v.link = nil
	_ = l.conn.Close()
	switch {
	case !errors.Is(err, io.EOF) || !v.farewell:
		if l.finished && !l.stream.cut.Load() {
			w.mayMiss(l, fmt.Sprintf("ends without a farewell: %v", err))
		}
	case len(v.rest) > 0:
		w.fail("%v: ends within a frame: %.100q", l, v.rest)
	case l.finished && !slices.Equal(v.privates, l.accepted):
		w.fail("%v: private frames %v, want %v", l, v.privates, l.accepted)
	}
}

// mayMiss fails unless the stream was over for another reason before its farewell; a stall may be one.
func (w *world) mayMiss(l *link, what string) {
	w.mu.Lock()
	ok := len(l.ends) > 0 && (!errors.Is(l.ends[0].Reason, errDone) || l.mayStall(l.ends[0]))
	w.mu.Unlock()
	if !ok {
		w.fail("%v: %s", l, what)
	}
}

func (v *viewer) due(e *event) bool {
	return slices.ContainsFunc(v.spans, func(s span) bool {
		return e.topics>>s.topic&1 == 1 && s.from < e.pos && e.pos <= s.until
	})
}

// missed lists events in (from, to] that are due and were not seen.
func (v *viewer) missed(from, to fanout.Position) (out []*event) {
	for _, e := range v.w.published(from, to) {
		if v.due(e) && !v.seen[e.n] {
			out = append(out, e)
		}
	}
	return out
}
