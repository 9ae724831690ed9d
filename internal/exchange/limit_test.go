package exchange_test

import (
	"bytes"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/goceleris/celeris/engine"
	"github.com/goceleris/celeris/internal/exchange"
)

var (
	alice = netip.MustParseAddr("192.0.2.1")
	bob   = netip.MustParseAddr("192.0.2.2")
)

func TestHost_BoundsItsStreams(t *testing.T) {
	h := exchange.Host{Limits: exchange.Limits{Streams: 3, PerClient: 2}}
	streams := make([]*nullStream, 4)
	for i := range streams {
		streams[i] = new(nullStream)
	}
	try := func(what string, s int, client netip.Addr, want error) {
		t.Helper()
		if err := h.Room(client); !errors.Is(err, want) || (err == nil) != (want == nil) {
			t.Errorf("%s: Room = %v, want %v", what, err, want)
		}
		err := h.Add(streams[s], client)
		if !errors.Is(err, want) || (err == nil) != (want == nil) {
			t.Errorf("%s: Add = %v, want %v", what, err, want)
		}
		if want != nil && !errors.Is(want, exchange.ErrDraining) && !errors.Is(err, engine.ErrFull) {
			t.Errorf("%s: %v is no ErrFull", what, err)
		}
	}
	try("first", 0, alice, nil)
	try("second", 1, alice, nil)
	try("third of one client", 2, alice, exchange.ErrClientFull)
	try("of another client", 2, bob, nil)
	try("above the limit", 3, bob, exchange.ErrServerFull)
	try("of nobody above the limit", 3, netip.Addr{}, exchange.ErrServerFull)
	if h.Len() != 3 || h.Clients() != 2 {
		t.Errorf("%d streams of %d clients, want 3 of 2", h.Len(), h.Clients())
	}
	h.Remove(streams[0])
	h.Remove(streams[0])
	try("after one has left", 3, alice, nil)
	h.Remove(streams[2])
	if h.Len() != 2 || h.Clients() != 1 {
		t.Errorf("%d streams of %d clients, want 2 of 1", h.Len(), h.Clients())
	}
	h.Drain()
	try("while draining", 2, bob, exchange.ErrDraining)
	if got, want := h.Refused(), (exchange.Refused{Draining: 2, Server: 4, Client: 2}); got != want {
		t.Errorf("Refused() = %+v, want %+v", got, want)
	}
}

func TestHost_CountsUnknownClientsOnlyTogether(t *testing.T) {
	h := exchange.Host{Limits: exchange.Limits{PerClient: 1}}
	for range 5 {
		if err := h.Add(new(nullStream), netip.Addr{}); err != nil {
			t.Fatal(err)
		}
	}
	if h.Clients() != 0 {
		t.Errorf("%d clients, want none", h.Clients())
	}
}

func TestHost_BoundsStreamsThatCompete(t *testing.T) {
	h := exchange.Host{Limits: exchange.Limits{Streams: 10, PerClient: 7}}
	var open, most [3]atomic.Int64 // of alice, of bob, of both
	enter := func(i int) {
		n := open[i].Add(1)
		for m := most[i].Load(); n > m && !most[i].CompareAndSwap(m, n); m = most[i].Load() {
		}
	}
	var admitted atomic.Int64
	var wg sync.WaitGroup
	for i := range 16 {
		who, client := i%2, []netip.Addr{alice, bob}[i%2]
		wg.Go(func() {
			for range 500 {
				s := new(nullStream)
				if h.Room(client) != nil || h.Add(s, client) != nil {
					continue
				}
				admitted.Add(1)
				enter(who)
				enter(2)
				open[who].Add(-1)
				open[2].Add(-1)
				h.Remove(s)
			}
		})
	}
	wg.Wait()
	for i, limit := range []int64{7, 7, 10} {
		if got := most[i].Load(); got > limit || got == 0 {
			t.Errorf("%d streams at once, want 1 to %d", got, limit)
		}
	}
	r := h.Refused()
	if got := admitted.Load() + r.Server + r.Client; h.Len() != 0 || h.Clients() != 0 || got != 16*500 {
		t.Errorf("%d streams and %d clients left, %d of 8000 attempts accounted for", h.Len(), h.Clients(), got)
	}
}

func TestHost_KnowsClients(t *testing.T) {
	for _, tt := range []struct{ remote, want string }{
		{"192.0.2.7:1234", "192.0.2.7"},
		{"192.0.2.7", "192.0.2.7"},
		{"[::ffff:192.0.2.7]:1234", "192.0.2.7"},
		{"[2001:db8:1:2:3:4:5:6]:1234", "2001:db8:1:2::"},
		{"[2001:db8:1:2::9]:1234", "2001:db8:1:2::"},
		{"[2001:db8:1:3::9]:1234", "2001:db8:1:3::"},
		{"[fe80::1%eth0]:1234", "fe80::1%eth0"},
		{"[::1]:1234", "::"},
		{"@", ""},
		{"", ""},
	} {
		r := httptest.NewRequest("GET", "/", nil)
		r.RemoteAddr = tt.remote
		want, _ := netip.ParseAddr(tt.want)
		h := exchange.Host{Limits: exchange.Limits{PerClient: 1}}
		if got := h.Client(r); got != want {
			t.Errorf("Client of %q = %v, want %v", tt.remote, got, want)
		}
		if tt.want == "" {
			continue
		}
		h.Limits.ClientIP = func(*http.Request) netip.Addr { return netip.MustParseAddr("2001:db8::5:0:0:7") }
		if got := h.Client(r); got != netip.MustParseAddr("2001:db8::") {
			t.Errorf("Client by ClientIP = %v, want its network", got)
		}
		h.Limits.PerClient = 0
		if got := h.Client(r); got.IsValid() {
			t.Errorf("Client without a limit = %v, want none", got)
		}
	}
	var none *exchange.Host
	if none.Client(nil).IsValid() || none.Room(alice) != nil {
		t.Error("no host has a limit")
	}
}

func TestHost_LogsRefusalsNowAndThen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		h := exchange.Host{Limits: exchange.Limits{Streams: 1, PerClient: 1, Logger: slog.New(slog.NewTextHandler(&log, nil))}}
		if err := h.Add(new(nullStream), alice); err != nil {
			t.Fatal(err)
		}
		refuse := func(n int, want string) {
			t.Helper()
			log.Reset()
			for range n {
				if err := h.Room(alice); err == nil {
					t.Fatal("not refused")
				}
			}
			_, got, _ := strings.Cut(strings.TrimSuffix(log.String(), "\n"), "level=")
			if got != want {
				t.Errorf("log %q, want %q", got, want)
			}
		}
		refuse(1, `WARN msg="streams refused" server_full=1 client_full=0 streams=1 max_streams=1 max_streams_per_client=1`)
		refuse(100, "")
		time.Sleep(10*time.Second - 1)
		h.Limits.Streams = 2
		refuse(5, "")
		time.Sleep(time.Nanosecond)
		refuse(3, `WARN msg="streams refused" server_full=100 client_full=6 streams=1 max_streams=2 max_streams_per_client=1`)
		time.Sleep(time.Hour)
		h.Drain()
		refuse(3, "")
	})
}
