package main

import (
	"bufio"
	"fmt"
	"net/http"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/goceleris/celeris/test/benchkit"
)

// TestDesigns_DeliverWhatTheyAreGiven reads each server with a parser that the benchmark's client has nothing to do with.
func TestDesigns_DeliverWhatTheyAreGiven(t *testing.T) {
	all := designs()
	if _, err := exec.LookPath("cc"); err != nil {
		t.Log("NO C COMPILER: the floor is not tested")
	} else {
		bottom, err := floors(t.TempDir())
		if err != nil {
			t.Log(err)
		}
		all = append(all, bottom...)
	}
	for _, d := range all {
		t.Run(d.Name, func(t *testing.T) {
			t.Parallel()
			r, err := startRunner(d, load{n: 2, topics: 2}, benchkit.Client)
			if err != nil {
				t.Fatal(err)
			}
			defer func() {
				if err := r.stop(); err != nil {
					t.Error(err)
				}
			}()
			next := follow(t, "http://"+r.server.Addr+"/events/1")
			// The first event that arrives shows that the stream is subscribed.
			var first int64
			arrived := make(chan string, 1)
			go func() { arrived <- next() }()
			for first == 0 {
				if _, err := r.publish(1, wireSize); err != nil {
					t.Fatal(err)
				}
				if err := r.await(); err != nil {
					t.Fatal(err)
				}
				select {
				case e := <-arrived:
					first = number(t, e)
				default:
				}
			}
			if _, err := r.publish(50, wireSize); err != nil {
				t.Fatal(err)
			}
			if err := r.await(); err != nil {
				t.Fatal(err)
			}
			for want := first + 1; want <= r.number; want++ {
				e := next()
				if got := number(t, e); got != want {
					t.Fatalf("got event %d, want %d", got, want)
				}
				if size := len(e); size < wireSize-1 || size > wireSize+1 { // ids grow a digit
					t.Errorf("event %d has %d bytes, want %d", want, size, wireSize)
				}
			}
			if c := r.counts(); c.Delivered != c.Due || c.Duplicates != 0 {
				t.Errorf("%+v", c)
			}
		})
	}
}

// follow opens a stream and returns what yields its events, as they are on the wire.
func follow(t *testing.T, url string) (next func() string) {
	t.Helper()
	resp, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { resp.Body.Close() })
	if got := resp.Header.Get("Content-Type"); resp.StatusCode != http.StatusOK || !strings.HasPrefix(got, "text/event-stream") {
		t.Fatalf("got %s, %s", resp.Status, got)
	}
	lines := bufio.NewReader(resp.Body)
	return func() string {
		for event := ""; ; {
			line, err := lines.ReadString('\n')
			if err != nil {
				t.Error(err)
				return ""
			}
			event += line
			switch {
			case line == "\n" && strings.Contains(event, "data: "):
				return event
			case line == "\n":
				event = ""
			}
		}
	}
}

func number(t *testing.T, event string) (n int64) {
	t.Helper()
	for line := range strings.Lines(event) {
		if _, err := fmt.Sscanf(line, "data: %d x", &n); err == nil {
			return n
		}
	}
	t.Fatalf("no number in %q", event)
	return 0
}

// TestRunner_CountsWhatAServerDrops floods the hub, which says itself what it has dropped.
func TestRunner_CountsWhatAServerDrops(t *testing.T) {
	all := designs()
	hub := all[slices.IndexFunc(all, func(d design) bool { return d.Name == "hub" })]
	r, err := startRunner(hub, load{n: 2}, benchkit.Client)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := r.stop(); err != nil {
			t.Error(err)
		}
	}()
	for tries := 0; ; tries++ {
		for _, count := range []int{5000, 1} { // the last one arrives
			if _, err := r.publish(count, wireSize); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := r.fleet.Reach(r.group, r.number, time.Second); err != nil {
			t.Fatal(err)
		}
		if _, err := r.publish(1, wireSize); err != nil {
			t.Fatal(err)
		}
		if err := r.await(); err != nil {
			t.Fatal(err)
		}
		s, err := r.server.Stats()
		if err != nil {
			t.Fatal(err)
		}
		c := r.counts()
		if lost := c.Due - c.Delivered; lost != s.Dropped || c.Duplicates != 0 {
			t.Fatalf("the server dropped %d, the client missed %d of %+v", s.Dropped, lost, c)
		}
		if s.Dropped > 0 {
			return
		}
		if tries == 20 {
			t.Fatal("the hub dropped nothing: nothing is tested")
		}
	}
}
