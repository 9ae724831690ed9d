package fanout

import (
	"errors"
	"slices"
	"testing/synctest"
	"time"
)

// run plays the schedule to its end and brings everything to rest.
func (w *world) run() {
	for w.step = 0; w.step < w.steps && w.err == ""; w.step++ {
		if x := w.r.IntN(100); x < 4 {
			w.behind(func() {
				for range 1 + w.r.IntN(20) {
					w.change(w.r.IntN(100), w.settleBehind)
				}
			})
		} else if x < 5 {
			time.Sleep(time.Duration(w.r.IntN(3000)) * time.Millisecond)
			w.settle()
		} else if x == 5 && w.r.IntN(6) == 0 {
			w.stop()
			w.start(len(w.topics))
		} else {
			w.change(w.r.IntN(100), w.settle)
		}
	}
	w.rest()
	w.stop()
}

// change is one thing that happens.
func (w *world) change(x int, settle func()) {
	c := w.clients[w.r.IntN(len(w.clients))]
	switch {
	case x < 20:
		for range 1 + w.r.IntN(1+w.r.IntN(10)) {
			w.publish()
			settle()
		}
	case x < 46:
		for _, i := range w.r.Perm(len(w.clients)) {
			if n := w.clients[i].conn; n != nil && w.r.IntN(3) > 0 {
				n.pass()
				settle()
			}
		}
	case x < 72:
		for _, c := range w.clients {
			c.read(1 + w.r.IntN(200))
			settle()
		}
	case x < 78:
		for _, c := range w.clients {
			if c.conn == nil && w.r.IntN(2) == 0 {
				w.connect(c)
				settle()
			}
		}
	case x < 81:
		c.cut()
		if w.r.IntN(2) == 0 {
			settle()
			w.connect(c)
		}
	case x < 85:
		w.send(c)
	case x < 89:
		w.toggle(c)
	case x < 94:
		w.answer(c, settle)
	case x < 98:
		if c.conn != nil {
			c.conn.heartbeat()
		}
	default:
		w.finish(c)
	}
	settle()
}

// connect opens a new connection for c with the last id it has parsed.
func (w *world) connect(c *client) {
	n := &conn{w: w, client: c, room: 20 + w.r.IntN(300), limit: 1 + w.r.IntN(400), plans: w.r.IntN(2) == 0}
	n.member = NewMember(n, n, 3)
	n.member.Takes(c.window())
	head := w.core.Head()
	c.open(w.core.Epoch(), head)
	n.at, n.late = c.pos, w.r.IntN(4) == 0
	preamble := func() {
		epoch, p, stamped := n.member.Start()
		text := []byte("retry: 1\n")
		if stamped && w.fault != faultNoPreamble {
			text = textFraming{}.AppendStamp(text, epoch, p)
		}
		n.send(append(text, '\n'))
	}
	if n.late {
		preamble()
	}
	names := w.names(c.want)
	err := error(nil)
	if k := w.r.IntN(len(names)); k > 0 && !n.late {
		err = w.core.Open(n.member, c.lastID, names[:k]...)
		names = names[k:]
	}
	if err == nil {
		err = w.core.Open(n.member, c.lastID, names...)
	}
	w.log("client %d opens at %q, position %d, topics %v, head %d: %v", c.i, c.lastID, c.pos, w.names(c.want), head, err)
	w.conns = append(w.conns, n)
	if err != nil {
		if !errors.Is(err, ErrTooManyTopics) || w.strict {
			w.fail("Open: %v", err)
		}
		n.end(err)
		return
	}
	c.conn = n
	epoch, _, _ := ParseID(c.lastID)
	switch gone := w.gone(n); {
	case c.lastID == "":
		if w.cfg.Snapshot != nil {
			n.mayTell = New
		}
	case epoch != w.core.Epoch():
		n.mayTell = Restarted
	case w.strict && gone != (n.member.loss.reason == Expired):
		w.fail("client %d: opened at %d of %d with loss %q, gone %v", c.i, c.pos, head, n.member.loss.reason, gone)
	case n.member.loss.reason == Expired && w.expired(n):
		n.mayTell = Expired
	}
	if !n.late {
		preamble()
	}
}

// expired reports whether what a resume is due is no longer within the logs' History, by their own account.
func (w *world) expired(n *conn) bool {
	w.core.mu.Lock()
	defer w.core.mu.Unlock()
	return w.lost(n, func(e *event, t int) bool {
		topic := w.core.topics[w.topics[t]]
		return topic == nil || topic.expired >= e.pos
	})
}

func (w *world) send(c *client) {
	n := c.conn
	if n == nil || n.ended {
		return
	}
	p := len(w.barriers) + 1
	w.barriers[p] = w.core.Head()
	switch err := n.member.Send(privateBody(p)); {
	case err == nil:
		w.log("client %d is sent p%d at %d", c.i, p, w.barriers[p])
		n.accepted = append(n.accepted, p)
	case errors.Is(err, ErrQueueFull):
		n.member.Lose()
	case !n.finished && !errors.Is(err, ErrEnded):
		w.fail("Send: %v", err)
	}
}

// toggle joins or leaves a topic at run time.
func (w *world) toggle(c *client) {
	t := w.r.IntN(len(w.topics))
	name, n := w.topics[t], c.conn
	switch {
	case c.want>>t&1 == 0:
		if n == nil || n.ended {
			c.want |= 1 << t
			return
		}
		err := w.core.Join(n.member, name)
		w.log("client %d joins %s at %d: %v", c.i, name, w.core.Head(), err)
		if err == nil {
			c.join(t, w.core.Head())
		} else if !errors.Is(err, ErrEnded) && !errors.Is(err, ErrTooManyTopics) {
			w.fail("Join: %v", err)
		}
	case c.want != 1<<t:
		c.leave(t, w.core.Head())
		if n != nil && !n.ended {
			w.log("client %d leaves %s at %d", c.i, name, w.core.Head())
			w.core.Leave(n.member, name)
		}
	}
}

// answer lets callbacks of all connections of c return.
func (w *world) answer(c *client, settle func()) {
	for _, n := range w.conns {
		if n.client == c && (n.ask != nil || len(n.snaps) > 0) {
			n.asked()
			n.answer(Verdict(w.r.IntN(5)), w.r.IntN(4) > 0)
			settle()
			synctest.Wait()
		}
	}
	w.conns = slices.DeleteFunc(w.conns, func(n *conn) bool {
		return n.client.conn != n && n.ask == nil && len(n.snaps) == 0
	})
}

func (w *world) finish(c *client) {
	n := c.conn
	if n == nil || n.ended || w.r.IntN(2) == 0 {
		return
	}
	if w.r.IntN(4) == 0 {
		n.member.Cut(errCut)
		n.pass()
		if !n.ended && n.flush() {
			w.fail("client %d: cut, but not ended", c.i)
		}
		c.cut()
		return
	}
	n.member.Finish(errCut, []byte("event: bye\ndata: finished\n\n"), w.r.IntN(2) == 0)
	n.finished = true
	w.log("client %d is finished at %d", c.i, w.core.Head())
}

// rest lets everything become quiet; then nobody may lack anything.
func (w *world) rest() {
	for range 4000 {
		if w.err != "" || w.quiet() {
			break
		}
		for _, n := range w.conns {
			for n.ask != nil || len(n.snaps) > 0 {
				n.answer(Drop, true)
				w.settle()
			}
		}
		for _, c := range w.clients {
			if c.conn == nil || c.removed || c.conn.removed {
				c.cut()
				w.settle()
				w.connect(c)
				w.settle()
			}
			if c.conn == nil {
				continue // no room for its topics
			}
			c.conn.pass()
			w.settle()
			c.read(1 << 20)
		}
	}
	for _, c := range w.clients {
		if w.err != "" || c.conn == nil {
			continue
		}
		if c.passed > 0 {
			w.fail("client %d: %d events were skipped without a word", c.i, c.passed)
		}
		if x := c.missed(c.pos, forever); len(x) > 0 {
			w.fail("client %d: at rest at %d of %d without the event at %d and %d more", c.i, c.pos, w.core.Head(), x[0].pos, len(x)-1)
		}
		if n := c.conn.member.Depth(); n > 0 {
			w.fail("client %d: at rest with %d private frames", c.i, n)
		}
	}
}

// quiet reports whether no driver, callback or client has anything to do.
func (w *world) quiet() bool {
	for _, n := range w.conns {
		if n.ask != nil || len(n.snaps) > 0 {
			return false
		}
	}
	for _, c := range w.clients {
		n := c.conn
		if n == nil {
			if w.strict {
				return false
			}
			continue
		}
		if n.removed || n.ended || n.woken.Load() || n.status != Idle || len(n.pending)+len(n.kernel) > 0 {
			return false
		}
	}
	return true
}
