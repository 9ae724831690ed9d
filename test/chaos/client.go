package chaos

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/goceleris/celeris/middleware/sse"
)

// client follows its topics across cuts and nodes, and keeps what it met.
type client struct {
	site   *site
	source *sse.EventSource

	choice sync.Mutex // guards what follows
	rng    *rand.Rand
	sleeps bool // it has yet to

	mu      sync.Mutex // guards what follows
	epoch   string
	history history
	reached uint64 // the position of the last event
	wrong   error
}

// newClient returns a client that run lets go.
func newClient(ctx context.Context, s *site, i int, m *mutant) (*client, error) {
	c := &client{
		site: s, sleeps: i < s.sleepers,
		rng:     rand.New(rand.NewPCG(s.seed, uint64(i)+1)),
		history: history{topics: set(1 + i%allTopics)},
	}
	r, err := http.NewRequest(http.MethodGet, "http://any.node/events?topics="+c.history.topics.String(), nil)
	if err != nil {
		return nil, err
	}
	transport := &http.Transport{DialContext: c.dial, DisableKeepAlives: true, DisableCompression: true}
	c.source = sse.Connect(ctx, r, &sse.ConnectOptions{
		Client:      &http.Client{Transport: m.over(transport, c.history.topics)},
		Retry:       20 * time.Millisecond,
		Backoff:     50 * time.Millisecond,
		MaxBackoff:  500 * time.Millisecond,
		IdleTimeout: 10 * time.Second,
		RetryStatus: sse.IsTemporary,
		OnOpen:      func(*http.Response) { c.met(c.source.LastEventID(), opened) },
		OnReconnect: func(sse.Reconnect) { c.away(ctx) },
	})
	return c, nil
}

// run follows the stream until ctx ends.
func (c *client) run(ctx context.Context) {
	for event, err := range c.source.Events() {
		if err != nil {
			if ctx.Err() == nil {
				c.complain(fmt.Errorf("the client gave up: %w", err))
			}
			return
		}
		if _, ok := sse.ParseResync(event); ok {
			c.met(event.ID, resynced)
			continue
		}
		digits, _, _ := strings.Cut(event.Data, " ")
		n, err := strconv.Atoi(digits)
		if err != nil || n < 1 {
			c.complain(fmt.Errorf("event %+v has no counter", event))
			return
		}
		c.met(event.ID, int32(n))
	}
	if ctx.Err() == nil {
		c.complain(errors.New("the stream ended for good"))
	}
}

// met notes a step.
func (c *client) met(id string, n int32) {
	var issued int32
	if n == resynced {
		issued = c.site.ledger.issued()
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if id == "" && n == opened {
		c.history.steps = append(c.history.steps, step{})
		return
	}
	epoch, position, err := sse.ParseID(id)
	switch {
	case err != nil:
		c.wrong = errors.Join(c.wrong, fmt.Errorf("step %d came with the id %q", n, id))
		return
	case c.epoch == "":
		c.epoch = epoch
	case c.epoch != epoch:
		c.wrong = errors.Join(c.wrong, fmt.Errorf("step %d came with the id %q, of another epoch than %s", n, id, c.epoch))
		c.epoch = epoch
	}
	c.history.steps = append(c.history.steps, step{position, n, issued})
	if n != opened {
		c.reached = max(c.reached, position)
	}
}

func (c *client) complain(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.wrong = errors.Join(c.wrong, err)
}

// away is sometimes longer than what a node has in memory, and for sleepers once longer than what Redis keeps.
func (c *client) away(ctx context.Context) {
	count, _ := c.site.ledger.count()
	c.choice.Lock()
	asleep := c.sleeps && count > c.site.events/20
	c.sleeps = c.sleeps && !asleep
	c.choice.Unlock()
	if asleep {
		_ = c.site.published(ctx, min(count+c.site.maxLen*5/4, c.site.events)) // the site itself says if nothing is any more
		return
	}
	c.choice.Lock()
	var wait time.Duration
	if c.rng.IntN(20) == 0 {
		wait = time.Duration(c.rng.IntN(2000)) * time.Millisecond
	}
	c.choice.Unlock()
	if wait == 0 {
		return
	}
	select {
	case <-time.After(wait):
	case <-ctx.Done():
	}
}

// dial opens a connection to any node, which will be cut.
func (c *client) dial(ctx context.Context, _, _ string) (net.Conn, error) {
	c.choice.Lock()
	mean := c.site.mean
	if c.sleeps {
		mean /= 8 // it is to fall asleep early
	}
	addr, left, reset := c.site.fleet.any(c.rng), cutAfter(c.rng, mean), c.rng.IntN(2) == 0
	c.choice.Unlock()
	if addr == "" {
		return nil, errors.New("chaos: no node is up")
	}
	var d net.Dialer
	conn, err := d.DialContext(ctx, "tcp", addr)
	if err != nil {
		return nil, err
	}
	return &cutConn{conn.(*net.TCPConn), left, reset, &c.site.cuts}, nil
}

// String lists the names of topics as a request has them.
func (s set) String() string {
	var names []string
	for t := range topics {
		if s&(1<<t) != 0 {
			names = append(names, "t"+strconv.Itoa(t))
		}
	}
	return strings.Join(names, ",")
}

// parseSet reads names of topics.
func parseSet(names []string) (s set) {
	for _, name := range names {
		if t, err := strconv.Atoi(strings.TrimPrefix(name, "t")); err == nil && t >= 0 && t < topics {
			s |= 1 << t
		}
	}
	return s
}
