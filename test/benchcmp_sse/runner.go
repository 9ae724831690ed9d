package main

import (
	"errors"
	"fmt"
	"os/exec"
	"time"

	"github.com/goceleris/celeris/test/benchkit"
	"github.com/goceleris/celeris/test/loadgen"
)

// runner is a design with its clients.
type runner struct {
	design
	server *benchkit.Process
	fleet  *loadgen.Fleet
	group  loadgen.Group
	topics int
	n      int   // streams that are read
	number int64 // of the newest event in each topic
	base   loadgen.Tally
	due    int64 // deliveries since base
	tally  loadgen.Tally
	failed error

	connectCPU  time.Duration // of the server
	connectWall time.Duration
	before      benchkit.Counters // without these streams
	log         string
}

// load says what a runner's clients are.
type load struct {
	n, topics, stalled int
	// warm are read too, but nothing is said of them: they come first, so that what the first streams cost a process once
	// is not counted.
	warm int
}

const (
	wireSize = 200
	nap      = time.Millisecond
	fineNap  = 200 * time.Microsecond // where latency is measured
	late     = 20 * time.Second       // what has not arrived by then is counted as lost
)

func startRunner(d design, l load, client func() *exec.Cmd) (*runner, error) {
	server, err := benchkit.StartProcess(d.command())
	if err != nil {
		return nil, err
	}
	r := &runner{design: d, server: server, topics: max(l.topics, 1), n: l.n}
	if r.fleet, err = loadgen.Start(client()); err != nil {
		return nil, errors.Join(err, server.Stop())
	}
	if err := r.connect(l); err != nil {
		return nil, errors.Join(fmt.Errorf("%s: %w", d.Name, err), r.stop())
	}
	return r, nil
}

func (r *runner) connect(l load) error {
	if _, err := r.fleet.Relax(fineNap); err != nil {
		return err
	}
	s := loadgen.Streams{Path: "/events/{topic}", Topics: r.topics, N: l.warm}
	if l.warm > 0 {
		if _, err := r.fleet.Open(r.server.Addr, s); err != nil {
			return err
		}
	}
	if err := r.server.Ask("gc", "gc"); err != nil {
		return err
	}
	var err error
	if r.before, err = r.server.Stats(); err != nil {
		return err
	}
	begin := time.Now()
	s.N = l.n
	if r.group, err = r.fleet.Open(r.server.Addr, s); err != nil {
		return err
	}
	r.connectWall = time.Since(begin)
	after, err := r.server.Stats()
	if err != nil {
		return err
	}
	r.connectCPU = time.Duration(after.CPU - r.before.CPU)
	r.log = after.Log
	if l.stalled > 0 {
		s.N, s.Stalled = l.stalled, true
		if _, err := r.fleet.Open(r.server.Addr, s); err != nil {
			return err
		}
	}
	if err := r.begin(); err != nil {
		return err
	}
	_, err = r.fleet.Relax(nap)
	return err
}

// begin publishes until each stream gets what is published: having the head of a response doesn't mean to be
// subscribed in all designs.
func (r *runner) begin() error {
	for tries := range 50 {
		if _, err := r.publish(1, wireSize); err != nil {
			return err
		}
		t, err := r.fleet.Reach(r.group, r.number, time.Duration(1+tries)*200*time.Millisecond)
		if err != nil {
			return err
		}
		if t.Reached == r.n {
			r.tally, r.base, r.due = t, t, 0
			return nil
		}
	}
	return errors.New("not all streams get what is published")
}

// publish publishes count events to each topic and returns how long the calls took.
func (r *runner) publish(count, size int) (time.Duration, error) {
	var ns int64
	r.number += int64(count)
	r.due += int64(count) * int64(r.n)
	err := r.server.Ask(fmt.Sprintf("publish %d %d %d", count, r.topics, size), "published %d", &ns)
	return time.Duration(ns), err
}

// await waits until each stream has the newest event of its topic.
func (r *runner) await() error {
	var err error
	r.tally, err = r.fleet.Reach(r.group, r.number, late)
	return err
}

// counts returns deliveries since the runner began.
func (r *runner) counts() Counts {
	again := r.tally.Duplicates - r.base.Duplicates
	return Counts{Due: r.due, Delivered: r.tally.Delivered - r.base.Delivered - again, Duplicates: again}
}

func (r *runner) stop() error {
	return errors.Join(r.fleet.Close(), r.server.Stop())
}

// usage is the processor time that server and client have used.
type usage struct{ server, client time.Duration }

func (r *runner) usage() (usage, error) {
	c, err := r.server.Stats()
	if err != nil {
		return usage{}, err
	}
	client, err := r.fleet.CPU()
	return usage{time.Duration(c.CPU), client}, err
}
