//go:build linux

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/goceleris/celeris"
	"github.com/goceleris/celeris/engine"
)

const (
	history      = 256
	historyBytes = 8 << 20
	members      = 250 // of a topic, about
	beat         = 250 * time.Millisecond
	burst        = 40 // events, one burst a second, to one topic after the other
	burstSize    = 2500
	eventSize    = 200
	patience     = time.Minute
	maxStall     = 40 * time.Second
	everyone     = "all" // the topic of what goes to all, for WebSocket
	end          = "end" // what the last events of a topic say
)

// config says how long and how much.
type config struct {
	kind    kind
	engine  engine.Kind
	time    time.Duration
	streams int
	log     io.Writer
}

func (c config) topics() int { return min(max(c.streams/members, 2), 20) }

func topicName(t int) string { return "t" + strconv.Itoa(t) }

// server is what the clients come to.
type server struct {
	app    *celeris.Server
	site   site
	addr   string
	gone   atomic.Int64 // streams that have ended
	done   sync.WaitGroup
	counts []int // by topic, of events
	all    int   // of those to everyone
	sent   int
}

func serve(ctx context.Context, cfg config) (*server, error) {
	quiet := slog.New(slog.DiscardHandler)
	s := &server{counts: make([]int, cfg.topics())}
	s.app = celeris.New(celeris.Config{Engine: cfg.engine, Logger: quiet, MaxStall: maxStall})
	var err error
	if s.site, err = open(cfg.kind, s.app, func() { s.gone.Add(1) }); err != nil {
		return nil, err
	}
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	s.addr = l.Addr().String()
	s.done.Go(func() { _ = s.app.Serve(context.WithoutCancel(ctx), l) })
	return s, nil
}

// stop returns when nothing of the server is left.
func (s *server) stop() error {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	err := errors.Join(s.site.close(ctx), s.app.Shutdown(ctx))
	s.done.Wait()
	return err
}

// publish publishes the next event of a topic.
func (s *server) publish(t, size int, word string) error {
	s.counts[t]++
	s.sent++
	return s.site.publish(topicName(t), text(topicName(t), s.counts[t], word, size))
}

// publishAll publishes the next event to everyone.
func (s *server) publishAll() error {
	s.all++
	s.sent++
	return s.site.publish("", text(everyone, s.all, "tick", eventSize))
}

// noise is words in random order: what compresses, but still takes place in the buffers of those who stall.
var noise = func() string {
	rng := rand.New(rand.NewPCG(1, 2))
	words := make([]string, 64)
	for i := range words {
		words[i] = strconv.FormatUint(rng.Uint64()>>20, 36) + " "
	}
	var b strings.Builder
	for b.Len() < 16<<10 {
		b.WriteString(words[rng.IntN(len(words))])
	}
	return b.String()
}()

// text is that of an event.
func text(topic string, n int, word string, size int) string {
	head := fmt.Sprintf("%s %d %s ", topic, n, word)
	at := n * 7 % (len(noise) - 2*burstSize)
	return head + noise[at:at+max(size-len(head), 0)]
}

// fill makes the history as large as it gets.
func (s *server) fill() error {
	for range 2 * history {
		for t := range s.counts {
			if err := s.publish(t, 2*burstSize, "fill"); err != nil {
				return err
			}
		}
	}
	return nil
}

// press publishes until the time is up.
func (s *server) press(ctx context.Context, cfg config, clients <-chan error) error {
	tick := time.NewTicker(beat)
	defer tick.Stop()
	for n := 0; ; n++ {
		select {
		case <-ctx.Done():
			return nil
		case err := <-clients:
			return fmt.Errorf("the clients ended early: %w", err)
		case <-tick.C:
		}
		for t := range s.counts {
			if err := s.publish(t, eventSize, "tick"); err != nil {
				return err
			}
		}
		if n%int(time.Second/beat) != 0 {
			continue
		}
		if cfg.kind == kindWS {
			if err := s.publishAll(); err != nil {
				return err
			}
		}
		for range burst {
			if err := s.publish(n/int(time.Second/beat)%len(s.counts), burstSize, "burst"); err != nil {
				return err
			}
		}
	}
}

// finish publishes last events until the clients have ended: one that is told of a loss may have lost the first of them.
func (s *server) finish(clients <-chan error) error {
	tick := time.NewTicker(beat)
	defer tick.Stop()
	late := time.After(patience)
	for {
		for t := range s.counts {
			if err := s.publish(t, eventSize, end); err != nil {
				return err
			}
		}
		select {
		case err := <-clients:
			if err != nil {
				return fmt.Errorf("the clients did not answer: %w", err)
			}
			return nil
		case <-late:
			return errors.New("the clients don't come to an end")
		case <-tick.C:
		}
	}
}

// run soaks a server. command starts this program, or one that serves as well, as a client.
func run(ctx context.Context, cfg config, command func() *exec.Cmd) (*report, error) {
	s, err := serve(ctx, cfg)
	if err != nil {
		return nil, err
	}
	r, err := s.soak(ctx, cfg, command)
	return r, errors.Join(err, s.stop())
}

func (s *server) soak(ctx context.Context, cfg config, command func() *exec.Cmd) (*report, error) {
	if err := s.warm(ctx, cfg.kind); err != nil {
		return nil, err
	}
	if err := s.await(func() bool { return int(s.gone.Load()) == len(s.counts) }); err != nil {
		return nil, fmt.Errorf("the first clients' departure: %w", err)
	}
	r := &report{Kind: cfg.kind, Streams: cfg.streams, start: measure()}
	for calm := 0; calm < 5; calm++ { // what those clients had is still ending
		time.Sleep(50 * time.Millisecond)
		if m := measure(); m.goroutines < r.start.goroutines || m.fds < r.start.fds {
			r.start, calm = m, 0
		}
	}
	fmt.Fprintf(cfg.log, "start: %v\n", r.start)
	cmd := command()
	cmd.Env = append(os.Environ(), clientVariable+"=1")
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	defer func() { // whatever happens, it doesn't outlive this
		_ = cmd.Process.Kill() // fails if it has ended, as it should have
		_ = cmd.Wait()
	}()
	orders := orders{Kind: cfg.kind, Addr: s.addr, Streams: cfg.streams, Topics: len(s.counts), Time: cfg.time}
	if err := json.NewEncoder(in).Encode(orders); err != nil {
		return nil, err
	}
	answered := make(chan error, 1)
	go func() { answered <- json.NewDecoder(out).Decode(&r.tally) }()

	pressing, cancel := context.WithTimeout(ctx, cfg.time)
	defer cancel()
	go s.watch(pressing, cfg)
	if err := s.press(pressing, cfg, answered); err != nil {
		return nil, err
	}
	if err := s.finish(answered); err != nil {
		return nil, err
	}
	in.Close()
	if err := cmd.Wait(); err != nil {
		return nil, err
	}
	r.Events = s.sent
	r.end = s.settle(r.start)
	r.Left = s.site.left()
	fmt.Fprintf(cfg.log, "end: %v\n", r.end)
	return r, nil
}

// warm fills the history while each topic has a client, and has them go: what first ones need, and what is kept for those
// that compress, is there from then on.
func (s *server) warm(ctx context.Context, k kind) error {
	var readers sync.WaitGroup
	var conns []net.Conn
	defer func() {
		for _, c := range conns {
			c.Close()
		}
		readers.Wait()
	}()
	for t := range s.counts {
		c := &client{orders: orders{Kind: k, Addr: s.addr, Topics: len(s.counts)}, ctx: ctx, i: 3}
		conn, err := c.dial(t)
		if err != nil {
			return err
		}
		conns = append(conns, conn)
		readers.Go(func() { _, _ = io.Copy(io.Discard, conn) }) // until it is closed
	}
	if err := s.await(func() bool { return s.site.left() == len(s.counts) }); err != nil {
		return fmt.Errorf("the first clients: %w", err)
	}
	return s.fill()
}

// await waits until something holds.
func (s *server) await(done func() bool) error {
	for late := time.Now().Add(patience); !done(); time.Sleep(time.Millisecond) {
		if time.Now().After(late) {
			return errors.New("what was waited for has not come")
		}
	}
	return nil
}

// watch says from time to time how it goes.
func (s *server) watch(ctx context.Context, cfg config) {
	tick := time.NewTicker(max(cfg.time/10, time.Second))
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			fmt.Fprintf(cfg.log, "%v, %d have ended, %d goroutines\n", s.site, s.gone.Load(), runtime.NumGoroutine())
		}
	}
}

// settle measures when as little is left as there was in the beginning, or when it is clear that more is.
func (s *server) settle(start measurement) (m measurement) {
	for late := time.Now().Add(patience / 2); ; time.Sleep(50 * time.Millisecond) {
		m = measure()
		if s.site.left() == 0 && !m.above(start, 0) || time.Now().After(late) {
			return m
		}
	}
}
