package websocket

import (
	"context"
	"errors"
	"unicode/utf8"

	"github.com/goceleris/celeris/engine"
	"github.com/goceleris/celeris/internal/fanout"
	"github.com/goceleris/celeris/internal/wsproto"
)

// Broadcast sends a message to every registered connection, and returns how many there were: that many connections will
// be handed it, unless they end or fall behind, and what reaches the peers nobody knows. It does not keep data.
//
// It waits for no connection. When the connections that do take bytes are half the history behind, because the machine
// is busy, it yields to them, for 100 ms at most. Errors: [ErrInvalidUTF8], [ErrMessageType], [ErrTooBig],
// [ErrHubClosed]; then nobody gets the message.
func (h *Hub) Broadcast(t MessageType, data []byte) (int, error) { return h.publish(all, t, data, nil) }

// BroadcastTo is [Hub.Broadcast] to the connections in a room.
func (h *Hub) BroadcastTo(room string, t MessageType, data []byte) (int, error) {
	return h.publish(topic(room), t, data, nil)
}

// BroadcastPrepared is [Hub.Broadcast], or [Hub.BroadcastTo] one room, of a prepared message, which is framed and
// compressed already when it is sent again. With an Envelope it is as good as the bytes it was made of.
func (h *Hub) BroadcastPrepared(m *PreparedMessage, room ...string) (int, error) {
	switch len(room) {
	case 0:
		return h.publish(all, m.typ, m.data, m)
	case 1:
		return h.publish(topic(room[0]), m.typ, m.data, m)
	}
	panic("websocket: BroadcastPrepared: a message goes to all or to one room")
}

// publish appends a message to the log of a topic. m is the message if it is prepared.
func (h *Hub) publish(topic string, t MessageType, data []byte, m *PreparedMessage) (int, error) {
	if m == nil {
		if err := valid(t, data); err != nil {
			return 0, err
		}
	}
	if len(data) > h.cfg.MaxMessageBytes {
		return 0, ErrTooBig
	}
	if h.cfg.Envelope != nil {
		return h.envelop(topic, t, data)
	}
	if m == nil {
		return h.append(topic, frameOf(t, data), data, 0)
	}
	f := fanout.Frame{Bytes: m.plain}
	if bits := h.window(topic, data); bits > 0 {
		if z := m.frame(bits, h.cfg.Level); len(z) < len(m.plain) {
			f.Twin, f.Window = z, uint8(bits)
		}
	}
	return h.send(topic, f)
}

// envelop publishes a message that has its position in it.
func (h *Hub) envelop(topic string, t MessageType, data []byte) (int, error) {
	for {
		p := h.core.Head() + 1
		sent := h.cfg.Envelope(string(fanout.AppendID(nil, h.core.Epoch(), p)), data)
		if t == TextMessage && !utf8.Valid(sent) {
			return 0, ErrInvalidUTF8
		}
		if len(sent) > h.cfg.MaxMessageBytes {
			return 0, ErrTooBig
		}
		n, err := h.append(topic, frameOf(t, sent), sent, p)
		if !errors.Is(err, fanout.ErrOrder) { // somebody else has got the position
			return n, err
		}
	}
}

// frameOf is a message as it is sent.
func frameOf(t MessageType, data []byte) []byte {
	f := wsproto.Frame{Opcode: wsproto.Opcode(t), Fin: true}
	return wsproto.AppendFrame(make([]byte, 0, f.HeaderLen(len(data))+len(data)), f, data)
}

// window is for how large a window a message to a topic is compressed, or 0. All that compress can read it.
func (h *Hub) window(topic string, data []byte) int {
	if len(data) < h.cfg.Threshold {
		return 0
	}
	return int(h.core.Window(topic))
}

// append publishes a frame, and data compressed if some connection wants that and it is smaller.
func (h *Hub) append(topic string, plain, data []byte, at fanout.Position) (int, error) {
	f := fanout.Frame{Bytes: plain, At: at}
	if bits := h.window(topic, data); bits > 0 {
		buf := takeBuffer(piece)
		z := wsproto.AppendDeflate(buf, data, nil, bits, h.cfg.Level)
		if len(z) < len(data) {
			head := wsproto.Frame{Opcode: wsproto.Opcode(plain[0] & 0x0F), Fin: true, Compressed: true}
			f.Twin = wsproto.AppendFrame(make([]byte, 0, head.HeaderLen(len(z))+len(z)), head, z)
			f.Window = uint8(bits)
		}
		giveBuffer(z)
	}
	return h.send(topic, f)
}

func (h *Hub) send(topic string, f fanout.Frame) (int, error) {
	r, err := h.core.PublishFrame(context.Background(), f, topic)
	if err != nil {
		return 0, hubError(err)
	}
	return r.Members, nil
}

// BroadcastFilter sends a message to those connections for which pred returns true, and returns to how many. pred is
// called for each connection of this moment, on the goroutine of the caller; if it panics nobody gets the message. The
// message goes out behind everything that was broadcast before, and before everything later; it is no history, has no
// position, and is not given to a connection for which more than MaxQueued messages or MaxBacklog bytes of its own wait.
func (h *Hub) BroadcastFilter(t MessageType, data []byte, pred func(*Conn) bool) (int, error) {
	m, err := Prepare(t, data)
	if err != nil {
		return 0, err
	}
	if len(data) > h.cfg.MaxMessageBytes {
		return 0, ErrTooBig
	}
	h.mu.Lock()
	closed := h.closed
	h.mu.Unlock()
	if closed {
		return 0, ErrHubClosed
	}
	var picked []*Conn
	if !h.contain("BroadcastFilter", func() {
		for _, c := range h.snapshot() {
			if pred(c) {
				picked = append(picked, c)
			}
		}
	}) {
		return 0, ErrFilterPanicked
	}
	bits := 0 // of the smallest window, so that it is compressed once
	for _, c := range picked {
		if c.twins() && len(data) >= h.cfg.Threshold && (bits == 0 || int(c.out.bits) < bits) {
			bits = int(c.out.bits)
		}
	}
	twin := m.plain
	if bits > 0 {
		twin = m.frame(bits, h.cfg.Level)
	}
	n := 0
	for _, c := range picked {
		frame := m.plain
		if c.twins() {
			frame = twin
		}
		switch o, _ := c.sendFrame(frame); o {
		case Dropped:
			h.filtered.dropped.Add(1)
		default:
			h.filtered.sent.Add(1)
			n++
		}
	}
	return n, nil
}

// twins reports whether the connection reads compressed messages that refer to no other.
func (c *Conn) twins() bool { return c.out.deflate && !c.out.takeover }

// hubFraming is the log of a hub: messages are all there is in it.
type hubFraming struct{}

var _ fanout.Framing = hubFraming{}

// MaxStamp implements [fanout.Framing].
func (hubFraming) MaxStamp(string) int { return 0 }

// AppendStamp implements [fanout.Framing].
func (hubFraming) AppendStamp(b []byte, _ string, _ fanout.Position) []byte { return b }

// AppendNotice implements [fanout.Framing].
func (hubFraming) AppendNotice(b []byte, _ fanout.Notice) []byte { return b }

// AppendConflated implements [fanout.Framing].
func (hubFraming) AppendConflated(b []byte, _ int) []byte { return b }

// AppendPosition implements [fanout.Framing].
func (hubFraming) AppendPosition(b []byte, _ string, _ fanout.Position) []byte { return b }

// slow asks what becomes of a slow connection.
func (h *Hub) slow(o fanout.Owner, lag fanout.Lag) fanout.Verdict {
	c, policy := o.(owner).Conn, HubPolicyClose
	if f := h.cfg.OnSlowConn; f != nil && !h.contain("OnSlowConn", func() {
		policy = f(SlowConn{Conn: c, Messages: lag.Frames, Bytes: lag.Bytes})
	}) {
		c.fault()
		return fanout.Drop // it is void
	}
	switch policy {
	case HubPolicyDrop:
		return fanout.Drop
	case HubPolicyRemove:
		return fanout.Remove
	default:
		return fanout.Close
	}
}

// fault closes a connection that user code panicked for.
func (c *Conn) fault() { c.shut(&CloseError{Code: StatusInternalError, Local: true}, ErrPanicked) }

// evicted carries out what the log does not.
func (h *Hub) evicted(o fanout.Owner, v fanout.Verdict, _ fanout.Lag) {
	c := o.(owner).Conn
	if v == fanout.Remove {
		c.removed.Store(true)
		h.Unregister(c)
		return
	}
	c.shut(tooSlow(), fanout.ErrSlow) // the log has begun it
}

// resync builds what a connection gets for what it has lost.
func (h *Hub) resync(ctx context.Context, o fanout.Owner, n fanout.Notice) ([]byte, error) {
	c := o.(owner).Conn
	var data []byte
	var err error
	if !h.contain("OnResync", func() {
		data, err = h.cfg.OnResync(ctx, Resync{
			Conn: c, Reason: n.Reason, Dropped: n.Dropped, Position: string(fanout.AppendID(nil, n.Epoch, n.Position)),
		})
	}) {
		c.fault()
	}
	if err != nil || data == nil {
		return nil, err
	}
	t := TextMessage
	if !utf8.Valid(data) {
		t = BinaryMessage
	}
	return frameOf(t, data), nil
}

// errHubClosed is the reason for which a connection ends whose hub is closed.
type errHubClosed struct{}

func (errHubClosed) Error() string { return ErrHubClosed.Error() }

// Unwrap returns [ErrHubClosed].
func (errHubClosed) Unwrap() error { return ErrHubClosed }

// EndKind is for [engine.End.Kind].
func (errHubClosed) EndKind() engine.EndKind { return engine.EndClosed }

// HubStats are a hub's counters since its start, and gauges of the moment.
type HubStats struct {
	Conns           int   `json:"conns"`
	Rooms           int   `json:"rooms"` // that connections are in
	HistoryMessages int   `json:"history_messages"`
	HistoryBytes    int   `json:"history_bytes"`
	Callbacks       int   `json:"callbacks"` // running now
	Published       int64 `json:"published"`
	Delivered       int64 `json:"delivered"`       // messages handed to connections
	DeliveredBytes  int64 `json:"delivered_bytes"` // theirs, as they are sent
	Dropped         int64 `json:"dropped"`         // messages skipped for slow connections, as far as they could be counted
	Resyncs         int64 `json:"resyncs"`         // losses of connections
	Removed         int64 `json:"removed"`         // by HubPolicyRemove
	Closed          int64 `json:"closed"`          // by HubPolicyClose
	Filtered        int64 `json:"filtered"`        // messages of BroadcastFilter given to connections
	FilterDropped   int64 `json:"filter_dropped"`  // that connections had no room for
	CallbackPanics  int64 `json:"callback_panics"`
	Throttled       int64 `json:"throttled"` // broadcasts that had to wait for the delivery of others
}

// Stats returns the counters and gauges of this moment.
func (h *Hub) Stats() HubStats {
	s := h.core.Stats()
	running, _ := h.presence.Callbacks()
	out := HubStats{
		HistoryMessages: s.HistoryFrames, HistoryBytes: s.HistoryBytes, Callbacks: s.Callbacks + running,
		Published: s.Published, Delivered: s.Delivered, DeliveredBytes: s.DeliveredBytes, Dropped: s.Dropped,
		Resyncs: s.Resyncs, Removed: s.Removed, Closed: s.Closed,
		Filtered: h.filtered.sent.Load(), FilterDropped: h.filtered.dropped.Load(),
		CallbackPanics: s.CallbackPanics + h.filtered.panics.Load(), Throttled: s.Throttled,
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	out.Conns = len(h.conns)
	for _, r := range h.rooms {
		if r.conns > 0 {
			out.Rooms++
		}
	}
	return out
}
