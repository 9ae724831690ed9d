package fanout

import "context"

// MaxWindow bounds what a member can say to [Member.Takes].
const MaxWindow = 15

// Frame is what [Core.PublishFrame] appends.
type Frame struct {
	Key   string
	Bytes []byte
	// Twin is another wording of Bytes, for members that take a window of at least Window. Without one all get Bytes.
	Twin   []byte
	Window uint8
	// At is the position that the frame has to get, since it is in its bytes; 0 means the next one.
	At Position
}

// Receipt is what became of a frame.
type Receipt struct {
	Position Position
	// Members counts the members of its topics at that position; who is one of several topics counts for each.
	Members int
}

// Takes says that the member can read twins for windows of up to that size. It is called before the member is opened.
func (m *Member) Takes(window uint8) { m.window = min(window, MaxWindow) }

// PublishFrame is Publish for a frame that has a twin, or its position in it: then [ErrOrder] means that the next position
// is another by now.
func (c *Core) PublishFrame(ctx context.Context, f Frame, topics ...string) (Receipt, error) {
	w := &wording{twin: f.Twin, needs: f.Window, at: f.At}
	p, err := c.put(ctx, f.Key, f.Bytes, topics, w)
	return Receipt{Position: p, Members: w.members}, err
}

// Window is the smallest window among the members of topic that read twins, or 0 if none does.
func (c *Core) Window(topic string) uint8 {
	c.mu.Lock()
	defer c.mu.Unlock()
	if t := c.topics[topic]; t != nil {
		return t.window()
	}
	return 0
}

// wording is what PublishFrame has to say beside a frame's bytes. Nil is nothing.
type wording struct {
	twin    []byte
	large   []byte // it, with room for its stamp, if it is large
	needs   uint8
	at      Position
	members int
}

// takers counts members by their windows.
type takers [MaxWindow + 1]int32

func (t *Topic) take(window uint8, n int32) {
	if window == 0 {
		return
	}
	if t.takers == nil {
		t.takers = new(takers)
	}
	t.takers[window] += n
}

// window is the smallest window among members that read twins, or 0.
func (t *Topic) window() uint8 {
	if t.takers != nil {
		for w, n := range t.takers {
			if n > 0 {
				return uint8(w)
			}
		}
	}
	return 0
}

// copyLarge copies the twin of a large frame, outside of the core's lock.
func (w *wording) copyLarge(maxStamp int, frame []byte) {
	if w != nil && w.twin != nil && len(frame) > AloneAbove {
		w.large = make([]byte, maxStamp+len(w.twin))
		copy(w.large[maxStamp:], w.twin)
	}
}

// fits reports whether the frame may come behind head.
func (w *wording) fits(head Position) bool { return w == nil || w.at == 0 || w.at == head+1 }

// count notes how many members the topics have.
func (w *wording) count(topics []*Topic) {
	if w == nil {
		return
	}
	for _, t := range topics {
		w.members += t.members
	}
}

// window is the window for which t's log gets the twin, or 0 if nobody there would read it.
func (w *wording) window(t *Topic) uint8 {
	if w == nil || w.twin == nil {
		return 0
	}
	if window := t.window(); window >= w.needs {
		return window
	}
	return 0
}

// size is how many bytes go to the twin of a segment: a frame without a twin is in both wordings the same.
func (w *wording) size(frame []byte, window uint8) int {
	if window > 0 {
		return len(w.twin)
	}
	return len(frame)
}

// alone returns the twin of a segment that holds one large frame.
func (w *wording) alone(t *Topic, window uint8, sharers int) *segment {
	s := newSegment(t, 0, 1)
	s.buf, s.sharers, s.window = w.large, sharers, window
	return s
}

// takes reports whether a frame's twin for that window may stand in a segment: every member that reads the twins there
// can read it, and the member with the smallest window reads them.
func (s *segment) takes(window uint8, w *wording) bool {
	return window == 0 || s.twin != nil && w.needs <= s.twin.window && s.twin.window <= window
}

// wording is what a member with that window reads of the segment.
func (s *segment) wording(window uint8) *segment {
	if s.twin != nil && window >= s.twin.window {
		return s.twin
	}
	return s
}

// reword writes stamp and frame to the twin of a segment: in the other wording if there is one for that window.
func (c *Core) reword(e *era, s *segment, p Position, frame []byte, now int64, g *tag, w *wording, window uint8) {
	t := s.twin
	if window > 0 {
		frame = w.twin
	}
	if window > 0 && w.large != nil {
		var room [64]byte
		stamp := c.cfg.Framing.AppendStamp(room[:0], e.epoch, p)
		off := e.maxStamp - len(stamp)
		copy(t.buf[off:], stamp)
		t.add(p, off, len(t.buf), now, g)
		return
	}
	off := t.used
	b := c.cfg.Framing.AppendStamp(t.buf[off:off], e.epoch, p)
	t.add(p, off, off+len(b)+copy(t.buf[off+len(b):], frame), now, g)
}
