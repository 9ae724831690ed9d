//go:build linux

package loadgen_test

import (
	"strings"
	"testing"
	"time"

	"github.com/goceleris/celeris/test/loadgen"
)

const plainHead = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n"

func TestFleet_TalliesNumberedStreams(t *testing.T) {
	addr, conns := answering(t, plainHead)
	f := start(t)
	if _, err := f.Relax(100 * time.Microsecond); err != nil {
		t.Fatal(err)
	}
	g, err := f.Open(addr, loadgen.Streams{Path: "/events", N: 2})
	if err != nil {
		t.Fatal(err)
	}
	if err := f.Watch(g, 2, 2); err != nil {
		t.Fatal(err)
	}
	a, b := <-conns, <-conns
	defer a.Close()
	defer b.Close()
	begin := time.Now()
	send(t, a, "data: 1 x\n\ndata: 2 x\n\nevent: resync\ndata: {}\n\ndata: 2 x\n\ndata: 3 x\n\n")
	send(t, b, "data: 1 x\n\ndata: 3 x\n\n")
	got, err := f.Reach(g, 3, time.Minute)
	want := loadgen.Tally{Reached: 2, Delivered: 6, Missing: 1, Duplicates: 1, Notices: 1}
	if err != nil || got != want {
		t.Errorf("got %+v, %v, want %+v", got, err, want)
	}
	if got, err := f.Reach(g, 4, time.Millisecond); err != nil || got.Reached != 0 {
		t.Errorf("got %+v, %v, want that nobody has a fourth", got, err)
	}
	arrivals, err := f.Arrivals(g)
	if err != nil || len(arrivals) != 2 {
		t.Fatalf("got %v, %v, want two arrivals", arrivals, err)
	}
	for i, a := range arrivals {
		if a.Streams != 2 || a.First.Before(begin) || a.Last.Before(a.First) || time.Now().Before(a.Last) {
			t.Errorf("arrival %d: %+v", i, a)
		}
	}
	if cpu, err := f.CPU(); err != nil || cpu <= 0 {
		t.Errorf("got %v, %v of processor time", cpu, err)
	}
	a.Close()
	if _, err := f.Reach(g, 4, time.Minute); err == nil || !strings.Contains(err.Error(), "a stream ended after 4 events") {
		t.Errorf("got %v, want that a stream ended", err)
	}
}

func TestFleet_HoldsStreamsItDoesNotRead(t *testing.T) {
	addr, conns := answering(t, plainHead)
	f := start(t)
	if _, err := f.Open(addr, loadgen.Streams{Path: "/events", N: 1, Stalled: true}); err != nil {
		t.Fatal(err)
	}
	c := <-conns
	defer c.Close()
	// That a write can't end shows that the connection is there and nobody reads.
	c.SetWriteDeadline(time.Now().Add(500 * time.Millisecond))
	for err := error(nil); err == nil; {
		_, err = c.Write(make([]byte, 1<<20))
		if err != nil && !strings.Contains(err.Error(), "timeout") {
			t.Errorf("got %v, want a timeout", err)
		}
	}
}
