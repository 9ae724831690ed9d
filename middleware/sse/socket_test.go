package sse_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/goceleris/celeris"
	"github.com/goceleris/celeris/engine"
	"github.com/goceleris/celeris/internal/leak"
	"github.com/goceleris/celeris/middleware/sse"
)

// onSockets serves cfg on a real listener.
func onSockets(t *testing.T, w way, cfg sse.Config) *site {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return newSiteOn(t, l, w, celeris.Config{}, sse.New(tame(cfg)))
}

// raw opens a stream over HTTP/1.1 and reads up to the end of its first block.
func (s *site) raw(t testing.TB) (*net.TCPConn, *bufio.Reader) {
	t.Helper()
	c, err := net.Dial("tcp", s.net.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(c, "GET / HTTP/1.1\r\nHost: example.com\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	r := bufio.NewReader(c)
	for line := ""; line != "\n"; {
		if line, err = r.ReadString('\n'); err != nil {
			t.Fatal(err)
		}
	}
	return c.(*net.TCPConn), r
}

// reach waits for a state.
func reach(t testing.TB, what string, state func() bool) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); !state(); runtime.Gosched() {
		if time.Now().After(end) {
			t.Fatalf("not reached: %s", what)
		}
	}
}

func TestSocket_HeadersComeBeforeAnyEvent(t *testing.T) {
	for _, w := range ways {
		t.Run(w.name, func(t *testing.T) {
			leak.Check(t)
			b := newBroker(t, sse.BrokerConfig{})
			tab := onSockets(t, w, sse.Config{Broker: b}).visit()
			if tab.res.ProtoMajor != w.major {
				t.Errorf("HTTP/%d", tab.res.ProtoMajor)
			}
			publish(t, b, "a")
			equal(t, "stream", []string{tab.next(), tab.next()}, "retry: 3000|id: E-0", "id: E-1|data: a")
		})
	}
}

func TestSocket_DepartureIsNoticed(t *testing.T) {
	for _, tt := range []struct {
		name  string
		leave func(c *net.TCPConn)
	}{
		{"close", func(c *net.TCPConn) { c.Close() }},
		{"half-close", func(c *net.TCPConn) { c.CloseWrite() }},
		{"reset", func(c *net.TCPConn) {
			c.SetLinger(0)
			c.Close()
		}},
		{"close after stray bytes", func(c *net.TCPConn) {
			io.WriteString(c, "stray bytes")
			c.Close()
		}},
		{"reset after stray bytes", func(c *net.TCPConn) {
			io.WriteString(c, "stray bytes")
			c.SetLinger(0)
			c.Close()
		}},
	} {
		for _, large := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s/amid an event=%v", tt.name, large), func(t *testing.T) {
				leak.Check(t)
				b := newBroker(t, sse.BrokerConfig{MaxEventBytes: 16 << 20})
				ends := make(chan error, 2)
				s := onSockets(t, h1, sse.Config{
					Broker: b, HeartbeatInterval: 20 * time.Millisecond,
					OnDisconnect: func(_ *sse.Client, reason error) { ends <- reason },
				})
				c, r := s.raw(t)
				defer c.Close()
				if large {
					publish(t, b, strings.Repeat("x", 15<<20)) // more than the kernel takes
					if _, err := io.ReadFull(r, make([]byte, 1<<20)); err != nil {
						t.Fatal(err)
					}
				}
				tt.leave(c)
				select {
				case reason := <-ends:
					is(t, "reason", reason, engine.ErrPeerGone)
				case <-time.After(20 * time.Second):
					t.Fatal("the departure was not noticed")
				}
				if got := b.Stats().Subscribers; got != 0 {
					t.Errorf("%d subscribers", got)
				}
			})
		}
	}
}

func TestSocket_StrayBytesDoNotDestroyTheFarewell(t *testing.T) {
	leak.Check(t)
	b := newBroker(t, sse.BrokerConfig{})
	s := onSockets(t, h1, sse.Config{Broker: b})
	for range 10 {
		c, r := s.raw(t)
		if _, err := c.Write(make([]byte, 20_000)); err != nil {
			t.Fatal(err)
		}
		n, err := b.Disconnect(func(*sse.Client) bool { return true }, errBanned, &sse.Farewell{Event: &sse.Event{Data: "bye"}})
		if n != 1 || err != nil {
			t.Fatalf("Disconnect = %d, %v", n, err)
		}
		reach(t, "end of the stream", func() bool { return b.Stats().Subscribers == 0 })
		// What the client has not read by now, a reset would take away.
		runtime.Gosched()
		time.Sleep(5 * time.Millisecond)
		rest, err := io.ReadAll(r)
		if err != nil || string(rest) != "retry: 3000\n\ndata: bye\n\n" {
			t.Errorf("farewell %q, %v", rest, err)
		}
		c.Close()
	}
}

func descriptors(t testing.TB) int {
	t.Helper()
	list, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Skip("descriptors can't be counted here:", err)
	}
	return len(list)
}

func TestSocket_TenThousandVisitsLeaveNothing(t *testing.T) {
	leak.Check(t)
	visits := 10_000
	if raceEnabled || testing.Short() {
		visits = 2000
	}
	b := newBroker(t, sse.BrokerConfig{})
	var ended sync.WaitGroup
	ended.Add(visits)
	s := onSockets(t, h1, sse.Config{Broker: b, OnDisconnect: func(*sse.Client, error) { ended.Done() }})
	c, _ := s.raw(t)
	before, goroutines := descriptors(t), leak.Running()
	todo := make(chan int)
	var workers sync.WaitGroup
	for range 32 {
		workers.Go(func() {
			for range todo {
				c, _ := s.raw(t)
				c.SetLinger(0) // a port that waits is one that the next visit can't use
				c.Close()
			}
		})
	}
	for i := range visits {
		if i%100 == 0 {
			publish(t, b, "x")
		}
		todo <- i
	}
	close(todo)
	workers.Wait()
	ended.Wait() // that the test ends at all says that each was noticed, and once
	if got := b.Stats().Subscribers; got != 1 {
		t.Errorf("%d subscribers, want the one that stayed", got)
	}
	ended.Add(1)
	reach(t, "descriptors as before", func() bool { return descriptors(t) <= before })
	if left := leak.Left(goroutines, 20*time.Second); len(left) != 0 {
		t.Errorf("%d goroutines left: %s", len(left), left[0])
	}
	c.Close()
	ended.Wait()
}

func heap() int {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int(m.HeapAlloc)
}

func TestSocket_StalledReadersHoldNoMemory(t *testing.T) {
	leak.Check(t)
	b := newBroker(t, sse.BrokerConfig{HistoryBytes: 2 << 20, History: 1})
	s := onSockets(t, h1, sse.Config{Broker: b})
	free, r := s.raw(t)
	defer free.Close()
	read := make(chan error, 1)
	go func() {
		for {
			line, err := r.ReadSlice('\n')
			if err != nil || string(line) == "data: the end\n" {
				read <- err
				return
			}
		}
	}()
	for range 10 {
		c, _ := s.raw(t)
		defer c.Close()
		c.SetReadBuffer(4 << 10)
	}
	data := strings.Repeat("x", 1000)
	for range 4000 { // the history is full, and so is what the kernel takes of it
		publish(t, b, data)
	}
	before, peak := heap(), 0
	for i := range 64 << 10 {
		publish(t, b, data)
		if i%8192 == 0 {
			peak = max(peak, heap())
		}
	}
	publish(t, b, "the end")
	if err := <-read; err != nil {
		t.Errorf("the reader beside them: %v", err)
	}
	if grown := max(peak, heap()) - before; grown > 2<<20 {
		t.Errorf("ten readers that stand still and 64 MB: the heap grew by %d bytes", grown)
	}
	stalled := slices.Collect(b.Clients(""))
	if len(stalled) != 11 {
		t.Errorf("%d clients, want 11", len(stalled))
	}
}

// A cut that comes while requests are being rejected must not touch their responses; on HTTP/2 these are gone.
func TestBroker_CloseLeavesRejectedRequestsAlone(t *testing.T) {
	leak.Check(t)
	const visitors = 200
	for range 8 { // one or two of which meet the moment between the look at the members and the cut
		b := newBroker(t, sse.BrokerConfig{})
		decide := make(chan struct{})
		s := onSockets(t, h2c, sse.Config{Broker: b, OnConnect: func(*sse.Client) error {
			<-decide
			return celeris.NewHTTPError(http.StatusForbidden, "")
		}})
		tr := &http.Transport{Protocols: new(http.Protocols)}
		tr.Protocols.SetUnencryptedHTTP2(true)
		var rejected sync.WaitGroup
		for range visitors {
			rejected.Go(func() {
				if res, err := (&http.Client{Transport: tr}).Get("http://" + s.net.Addr().String()); err == nil {
					res.Body.Close()
				}
			})
		}
		reach(t, "all are asked for", func() bool { return b.Stats().Subscribers == visitors })
		ctx, cancel := context.WithCancel(t.Context())
		go func() { cancel() }()
		go func() { close(decide) }()
		if err := b.Close(ctx); err != nil && !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
		rejected.Wait()
		tr.CloseIdleConnections()
	}
}
