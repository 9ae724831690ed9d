package sse_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/goceleris/celeris"
	"github.com/goceleris/celeris/middleware/sse"
)

// process is one of those that share a store.
type process struct {
	broker *sse.Broker
	site   *site
	knows  string // an epoch that it knows to have lost events
	lost   uint64 // up to where
}

// storeWorld is a schedule: processes, a store, clients that hop between them.
type storeWorld struct {
	t         *testing.T
	dice      *rand.Rand
	cloud     *cloud
	store     sse.ReplayStore
	later     *later // nil unless the store stores later
	processes []*process
	clients   []*hopper
	n         int
	work      sync.WaitGroup

	mu      sync.Mutex
	outcome map[int]outcome // of publishes that returned
	err     string
	resyncs int
	events  int
	lines   []string
}

type outcome struct {
	id  string
	err error
}

// log keeps a line of what happened, for SSE_SEED.
func (w *storeWorld) log(format string, args ...any) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.err == "" {
		w.lines = append(w.lines, fmt.Sprintf(format, args...))
	}
}

// Write implements [io.Writer] for the logs of the brokers.
func (w *storeWorld) Write(p []byte) (int, error) {
	w.log("%s", bytes.TrimSpace(p))
	return len(p), nil
}

func (w *storeWorld) fail(format string, args ...any) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.err == "" {
		w.err = fmt.Sprintf(format, args...)
	}
}

// modelTopics are what is published to; nobody follows the last, which takes the place of others.
var modelTopics = []string{"a", "b", "c", "d"}

func (w *storeWorld) open() *process {
	b, err := sse.NewBroker(sse.BrokerConfig{
		ReplayStore: w.store, Stream: "s", Logger: slog.New(slog.NewTextHandler(w, nil)), SubscriberBuffer: 3, History: 3 + w.dice.IntN(5),
		MaxLagBytes: 1000, HistoryBytes: 1500, MaxTopics: 3 + w.dice.IntN(2), StoreTimeout: 2 * time.Second,
		OnSlowSubscriber: func(sse.SlowSubscriber) sse.BrokerPolicy { return sse.BrokerPolicyCatchUp },
	})
	if err != nil {
		w.fail("open: %v", err)
		return nil
	}
	way := h1
	way.parked = w.dice.IntN(2) == 0
	topics := func(c *celeris.Context) ([]string, error) { return strings.Split(c.Query("t"), ","), nil }
	return &process{broker: b, site: stream(w.t, way, sse.Config{Broker: b, Topics: topics})}
}

// kill ends a process; its clients are cut.
func (w *storeWorld) kill(p *process) {
	for _, h := range w.clients {
		if h.at == p {
			h.cut()
		}
	}
	if w.later != nil && w.dice.IntN(2) == 0 {
		w.later.crash()
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	_ = p.broker.Close(ctx)
	synctest.Wait()
}

func (w *storeWorld) publish(b *sse.Broker) {
	w.n++
	n, k := w.n, 1+w.dice.IntN(2)
	topics := make([]string, k)
	for i := range topics {
		topics[i] = modelTopics[w.dice.IntN(len(modelTopics))]
	}
	e := sse.Event{Data: fmt.Sprintf("%d %s", n, strings.Repeat(".", w.dice.IntN(300)))}
	w.work.Go(func() {
		p, err := b.Publish(context.Background(), e, topics...)
		w.mu.Lock()
		defer w.mu.Unlock()
		w.lines = append(w.lines, fmt.Sprintf("publish %d to %q: %v", n, topics, err))
		o := outcome{err: err}
		if err == nil {
			o.id = p.ID()
		}
		w.outcome[n] = o
	})
}

// hopper is a browser that goes from process to process. It judges what it gets.
type hopper struct {
	w      *storeWorld
	i      int
	topics []string
	at     *process
	conn   net.Conn
	over   chan struct{}

	mu     sync.Mutex
	lastID string
	seen   map[int]bool
}

func (h *hopper) connect(p *process, most int) bool {
	h.mu.Lock()
	lastID := h.lastID
	h.mu.Unlock()
	h.w.log("client %d connects for %q with %s", h.i, h.topics, lastID)
	header := []string{}
	if lastID != "" {
		header = append(header, "Last-Event-Id", lastID)
	}
	res, conn := p.site.do(http.MethodGet, "/?t="+strings.Join(h.topics, ","), header...)
	if res.StatusCode == http.StatusServiceUnavailable { // no topic may be forgotten to make room
		res.Body.Close()
		return false
	}
	h.at, h.conn, h.over = p, conn, make(chan struct{})
	go h.read(res, most, h.over)
	return true
}

func (h *hopper) cut() {
	if h.conn != nil {
		h.conn.Close()
		<-h.over
		h.conn, h.at = nil, nil
	}
}

// read parses what comes, most bytes of it if that is not 0.
func (h *hopper) read(res *http.Response, most int, over chan struct{}) {
	defer close(over)
	defer res.Body.Close()
	var buf []byte
	piece := make([]byte, 512)
	total := 0
	for {
		n, err := res.Body.Read(piece)
		if total += n; most > 0 && total > most {
			n -= total - most
		}
		buf = append(buf, piece[:max(n, 0)]...)
		for {
			block, rest, ok := bytes.Cut(buf, []byte("\n\n"))
			if !ok {
				break
			}
			h.block(string(block))
			buf = rest
		}
		if err != nil || most > 0 && total >= most {
			return
		}
	}
}

// block judges one block.
func (h *hopper) block(text string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	w := h.w
	w.log("client %d at %s gets %.60q", h.i, h.lastID, text)
	id, event, data := "", "", ""
	for line := range strings.SplitSeq(text, "\n") {
		name, v, _ := strings.Cut(line, ": ")
		switch name {
		case "id":
			id = v
		case "event":
			event = v
		case "data":
			data = v
		case "retry", ":":
		default:
			w.fail("client %d: corrupt block %q", h.i, text)
			return
		}
	}
	resync := event == "resync"
	if resync {
		w.mu.Lock()
		w.resyncs++
		w.mu.Unlock()
	}
	if id == "" {
		if data != "" {
			w.fail("client %d: %q has no id", h.i, text)
		}
		return
	}
	epoch, p, err := sse.ParseID(id)
	if err != nil {
		w.fail("client %d: %q: %v", h.i, text, err)
		return
	}
	if h.lastID != "" {
		was, q, _ := sse.ParseID(h.lastID)
		switch {
		case was != epoch && resync && older(epoch, was): // a process that could not know better: all begins anew
			clear(h.seen)
		case was != epoch && !resync:
			w.fail("client %d: %q behind %s, without a resync", h.i, text, h.lastID)
		case was == epoch && p < q && !resync:
			w.fail("client %d: id goes back from %s to %s", h.i, h.lastID, id)
		case was == epoch && !resync:
			h.missed(epoch, q, p, data)
		}
	}
	h.lastID = id
	if data == "" || resync {
		return
	}
	n, _ := strconv.Atoi(strings.Fields(data)[0])
	if h.seen[n] {
		w.fail("client %d: event %d twice", h.i, n)
	}
	h.seen[n] = true
	w.cloud.do(func() {
		if !slices.ContainsFunc(w.cloud.all[epoch], func(r sse.Record) bool { return r.ID == id && r.Event.Data == data && h.wants(r) }) {
			w.fail("client %d: %q is not the store's, or not due", h.i, text)
		}
	})
	w.mu.Lock()
	w.events++
	w.mu.Unlock()
}

func (h *hopper) wants(r sse.Record) bool {
	return !r.Hole && slices.ContainsFunc(r.Topics, func(t string) bool { return slices.Contains(h.topics, t) })
}

// missed objects to events in (from, to] that the client has not seen, but for the one that it is being told of.
func (h *hopper) missed(epoch string, from, to uint64, data string) {
	c := h.w.cloud
	c.do(func() {
		if c.torn[epoch] {
			return // the epoch has two pasts until it ends
		}
		for _, r := range c.all[epoch] {
			if p := position(r); p > from && p <= to && h.wants(r) && !h.seen[number(r)] && r.Event.Data != data {
				h.w.fail("client %d: id passes from %d to %d over event %d at %d", h.i, from, to, number(r), p)
			}
		}
		for _, r := range c.records {
			if p := position(r); r.Hole && c.epoch == epoch && p > from && p <= to {
				h.w.fail("client %d: id passes from %d to %d over the hole at %d", h.i, from, to, p)
			}
		}
	})
}

// older reports whether an epoch came before another.
func older(a, b string) bool {
	x, _ := strconv.Atoi(a[1:])
	y, _ := strconv.Atoi(b[1:])
	return x < y
}

func number(r sse.Record) int {
	n, _ := strconv.Atoi(strings.Fields(r.Event.Data)[0])
	return n
}

// playStore runs one schedule.
func playStore(t *testing.T, seed uint64) (w *storeWorld) {
	synctest.Test(t, func(t *testing.T) {
		w = &storeWorld{t: t, dice: rand.New(rand.NewPCG(seed, 11)), cloud: newCloud(), outcome: map[int]outcome{}}
		w.run()
	})
	return w
}

func (w *storeWorld) run() {
	d, c := w.dice, w.cloud
	processes := 1
	switch d.IntN(4) {
	case 0:
		w.store = alone{c}
	case 1:
		l := newLater(c)
		w.store, w.later = l, &l
	default:
		w.store = c
		processes = 1 + d.IntN(3)
	}
	faults := d.IntN(3) > 0 // else there must not be a single resync
	var dice sync.Mutex     // of what runs beside the schedule
	own := rand.New(rand.NewPCG(d.Uint64(), 1))
	roll := func(n int) int {
		dice.Lock()
		defer dice.Unlock()
		return own.IntN(n)
	}
	if w.later == nil {
		c.stride = func() uint64 { return 1 + uint64(roll(3)) }
	}
	c.fate = func() fate {
		f := fate{sleep: func() { time.Sleep(time.Duration(roll(30)) * time.Millisecond) }}
		switch roll(12) {
		case 0:
			f.lost = true
		case 1:
			f.never = true
		case 2:
			f.fail = errLink
		}
		return f
	}
	stop := make(chan struct{})
	defer close(stop)
	if w.later != nil {
		go func() { // it is slow, but it does not stand still
			for {
				select {
				case <-time.After(5 * time.Second):
					w.later.write(1 << 30)
				case <-stop:
					return
				}
			}
		}()
	}
	for range processes {
		w.processes = append(w.processes, w.open())
	}
	for i := range 1 + d.IntN(4) {
		h := &hopper{w: w, i: i, seen: map[int]bool{}}
		for _, t := range modelTopics[:3] {
			if d.IntN(2) == 0 {
				h.topics = append(h.topics, t)
			}
		}
		if h.topics == nil {
			h.topics = []string{"a"}
		}
		w.clients = append(w.clients, h)
	}
	for range 120 {
		if w.err != "" {
			break
		}
		w.step(faults)
	}
	w.quiesce()
}

func (w *storeWorld) step(faults bool) {
	d, c := w.dice, w.cloud
	p := w.processes[d.IntN(len(w.processes))]
	h := w.clients[d.IntN(len(w.clients))]
	switch x := d.IntN(100); {
	case x < 35:
		for range 1 + d.IntN(1+d.IntN(10)) {
			w.publish(p.broker)
		}
	case x < 45:
		time.Sleep(time.Duration(d.IntN(60)) * time.Millisecond)
	case x < 55:
		synctest.Wait()
	case x < 70:
		h.cut()
		most := 0
		if d.IntN(2) == 0 {
			most = 1 + d.IntN(1500)
		}
		h.connect(p, most)
	case x < 76:
		h.cut()
	case x < 80:
		if w.later != nil {
			w.later.write(1 + d.IntN(8))
		}
	case x < 84:
		c.do(c.cut)
	case x < 86:
		w.log("kill")
		i := slices.Index(w.processes, p)
		w.settle()
		w.kill(p)
		if w.processes[i] = w.open(); w.processes[i] == nil {
			return
		}
	case !faults:
	case x < 90 && w.later == nil:
		c.do(func() {
			c.trim(2 + d.IntN(20))
			w.log("trim to %d", c.trimmed)
		})
	case x < 92 && w.later == nil:
		w.settle()
		time.Sleep(20 * time.Second) // all of them have read what is lost
		synctest.Wait()
		c.do(func() {
			lost := c.head
			c.rollBack(1 + d.IntN(4))
			w.log("roll back to %d of %s", c.head, c.epoch)
			for _, p := range w.processes {
				if c.torn[c.epoch] {
					p.knows, p.lost = c.epoch, lost
				}
			}
		})
	case x < 94 && w.later == nil:
		c.do(func() { c.down = errLink; c.cut() })
		time.Sleep(time.Duration(d.IntN(4000)) * time.Millisecond)
		c.do(func() { c.down = nil })
	case w.store != sse.ReplayStore(c): // what follows is done by other processes
	case x < 95:
		c.do(func() {
			c.add(sse.Record{Hole: true})
			c.tampered = true
		})
	case x < 96: // one has begun a new epoch
		c.do(func() {
			c.anew()
			c.tampered = true
			c.cut()
			w.log("anew: %s", c.epoch)
		})
	}
}

// settle lets all publishes return.
func (w *storeWorld) settle() {
	w.work.Wait()
	synctest.Wait()
}

func (w *storeWorld) quiesce() {
	w.settle()
	c := w.cloud
	c.do(func() { c.fate = nil })
	time.Sleep(20 * time.Second)
	for range 3 { // whatever the store did, the next event shows it
		for _, p := range w.processes {
			w.publish(p.broker)
		}
		time.Sleep(20 * time.Second)
		w.settle()
	}
	if w.later != nil {
		w.later.write(1 << 30)
	}
	for _, h := range w.clients {
		h.cut()
		for !h.connect(w.processes[w.dice.IntN(len(w.processes))], 0) {
			time.Sleep(time.Second)
		}
	}
	time.Sleep(time.Minute)
	synctest.Wait()
	for _, h := range w.clients {
		h.mu.Lock()
		epoch, p, _ := sse.ParseID(h.lastID)
		if epoch != c.epoch {
			w.fail("client %d: ends in epoch %q of %q", h.i, epoch, c.epoch)
		} else {
			h.missed(epoch, p, c.head, "")
		}
		h.mu.Unlock()
	}
	w.judge()
	for _, h := range w.clients {
		h.cut()
	}
	for _, p := range w.processes {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		if err := p.broker.Close(ctx); err != nil {
			w.fail("close: %v", err)
		}
		cancel()
	}
	synctest.Wait()
}

// judge compares what publishers were told with what the store knows.
func (w *storeWorld) judge() {
	c := w.cloud
	stored := map[int][]string{}
	for _, list := range c.all {
		for _, r := range list {
			if !r.Hole {
				stored[number(r)] = append(stored[number(r)], r.ID)
			}
		}
	}
	for _, p := range w.processes {
		if p.knows == c.epoch && c.trimmed < p.lost { // else whoever is there has expired
			w.fail("the store went back within epoch %s, and nobody began another", c.epoch)
		}
	}
	for n, o := range w.outcome {
		ids := stored[n]
		switch {
		case len(ids) > 1:
			w.fail("event %d was stored as %v", n, ids)
		case o.err == nil && !slices.Contains(ids, o.id):
			w.fail("event %d was published as %s, stored as %v", n, o.id, ids)
		case (errors.Is(o.err, sse.ErrStore) || errors.Is(o.err, sse.ErrStoreBehind)) && len(ids) > 0:
			w.fail("event %d was refused (%v) and stored as %v", n, o.err, ids)
		case o.err != nil && !errors.Is(o.err, sse.ErrStore) && !errors.Is(o.err, sse.ErrStoreBehind) && !errors.Is(o.err, sse.ErrOutcomeUnknown):
			w.fail("event %d: %v", n, o.err)
		}
	}
	if !c.tampered && w.resyncs > 0 {
		w.fail("%d resyncs though nothing was lost", w.resyncs)
	}
}

// TestStoreModel plays random schedules of processes that share a store. SSE_SEEDS says how many, SSE_SEED plays one.
func TestStoreModel(t *testing.T) {
	if s, err := strconv.ParseUint(os.Getenv("SSE_SEED"), 10, 64); err == nil {
		if w := playStore(t, s); w.err != "" {
			t.Log(strings.Join(w.lines, "\n"))
			t.Errorf("%T %d: %s", w.store, len(w.processes), w.err)
		}
		return
	}
	seeds := 150
	if testing.Short() || raceEnabled {
		seeds = 40
	}
	if n, err := strconv.Atoi(os.Getenv("SSE_SEEDS")); err == nil {
		seeds = n
	}
	published, events, resyncs, bad := 0, 0, 0, 0
	for seed := range uint64(seeds) {
		w := playStore(t, seed)
		published, events, resyncs = published+w.n, events+w.events, resyncs+w.resyncs
		if w.err == "" {
			continue
		}
		t.Errorf("seed %d: %s\n\trun it again: SSE_SEED=%d go test -run 'TestStoreModel$' -v ./middleware/sse", seed, w.err, seed)
		if bad++; bad == 8 {
			t.Fatal("and so on")
		}
	}
	t.Logf("%d schedules, %d events published, %d seen, %d resyncs", seeds, published, events, resyncs)
}
