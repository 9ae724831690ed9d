package main

import (
	"errors"
	"fmt"
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
	load   load
	number int64 // of the newest message in each room, or of the newest echo
	base   loadgen.Tally
	due    int64 // deliveries since base
	tally  loadgen.Tally
	failed error

	connectCPU time.Duration     // of the server
	before     benchkit.Counters // without clients
}

// load says what a runner's clients are.
type load struct {
	n       int
	warm    int // clients that come first, so that what the first ones cost a process once is not counted
	rooms   int // zero is one
	deflate bool
	echo    bool
}

const (
	messageSize = 200
	nap         = 200 * time.Microsecond
	settle      = time.Second
	late        = 20 * time.Second // what has not arrived by then is counted as lost
)

func startRunner(d design, l load) (*runner, error) {
	server, err := benchkit.StartProcess(d.command(l.deflate))
	if err != nil {
		return nil, err
	}
	l.rooms = max(l.rooms, 1)
	r := &runner{design: d, server: server, load: l}
	if r.fleet, err = loadgen.Start(benchkit.Client()); err != nil {
		return nil, errors.Join(err, server.Stop())
	}
	if err := r.connect(); err != nil {
		return nil, errors.Join(fmt.Errorf("%s: %w", d.Name, err), r.stop())
	}
	return r, nil
}

func (r *runner) connect() error {
	if _, err := r.fleet.Relax(nap); err != nil {
		return err
	}
	s := loadgen.Streams{Path: "/ws/{topic}", Topics: r.load.rooms, N: r.load.warm, WebSocket: true, Deflate: r.load.deflate}
	if r.load.echo {
		s.Path = "/echo"
	}
	if s.N > 0 {
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
	s.N = r.load.n
	if r.group, err = r.fleet.Open(r.server.Addr, s); err != nil {
		return err
	}
	after, err := r.server.Stats()
	if err != nil {
		return err
	}
	r.connectCPU = time.Duration(after.CPU - r.before.CPU)
	if r.load.echo {
		return nil
	}
	return r.begin()
}

// begin publishes until each client gets what is published: having the answer to a handshake doesn't mean to be in the
// room in all designs.
func (r *runner) begin() error {
	for tries := range 50 {
		if _, err := r.publish(1, messageSize); err != nil {
			return err
		}
		want := r.number
		if r.load.deflate {
			want = 1 // a client that came into its room late has counted fewer
		}
		t, err := r.fleet.Reach(r.group, want, time.Duration(1+tries)*200*time.Millisecond)
		if err != nil {
			return err
		}
		if t.Reached < r.load.n {
			continue
		}
		if r.load.deflate {
			if t, err = r.fleet.Reach(r.group, r.number+1, settle); err != nil { // what is under way
				return err
			}
			if err := r.fleet.Align(r.group, r.number); err != nil {
				return err
			}
		}
		r.tally, r.base, r.due = t, t, 0
		return nil
	}
	return errors.New("not all clients get what is published")
}

// publish publishes count messages to each room and returns how long the calls took.
func (r *runner) publish(count, size int) (time.Duration, error) {
	var ns int64
	r.number += int64(count)
	r.due += int64(count) * int64(r.load.n)
	err := r.server.Ask(fmt.Sprintf("publish %d %d %d", count, r.load.rooms, size), "published %d", &ns)
	return time.Duration(ns), err
}

// await waits until each client has the newest message of its room.
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

func (r *runner) stop() error { return errors.Join(r.fleet.Close(), r.server.Stop()) }
