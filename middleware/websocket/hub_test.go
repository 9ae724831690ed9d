package websocket_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/goceleris/celeris"
	"github.com/goceleris/celeris/engine/sim"
	"github.com/goceleris/celeris/internal/wsproto"
	"github.com/goceleris/celeris/middleware/websocket"
)

// club is a site whose connections are registered with a hub, in the room of their path.
type club struct {
	*site
	*websocket.Hub
	conns chan *websocket.Conn
}

// clubs runs a test for connections that are parked, for such that have a goroutine, and for a Handler.
func clubs(t *testing.T, hub websocket.HubConfig, cfg websocket.Config, test func(t *testing.T, c *club)) {
	for _, way := range []string{"parked", "portable", "handler"} {
		t.Run(way, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				hub, cfg := hub, cfg
				hub.Logger, cfg.Logger = quiet, quiet
				c := &club{site: newSite(celeris.Config{Logger: quiet}), Hub: websocket.NewHub(hub), conns: make(chan *websocket.Conn, 100)}
				enter := func(conn *websocket.Conn) {
					q := conn.Request().URL.Query()
					if _, err := c.Resume(conn, q.Get("position"), conn.Param("name")); err != nil && !errors.Is(err, websocket.ErrClosed) && !errors.Is(err, websocket.ErrHubClosed) {
						t.Error(err)
					}
					c.conns <- conn
				}
				cfg.OnOpen = enter
				if way == "handler" {
					cfg.OnOpen, cfg.Handler = nil, func(conn *websocket.Conn) {
						enter(conn)
						for range conn.Messages(conn.Context()) {
						}
					}
				}
				if way == "parked" {
					c.sim = sim.New()
				}
				c.GET("/{name}", websocket.New(cfg))
				c.start(t)
				test(t, c)
				done := make(chan error, 1)
				go func() { done <- c.Hub.Close(context.Background()) }()
				select {
				case err := <-done:
					if err != nil {
						t.Errorf("Close: %v", err)
					}
				case <-time.After(time.Hour):
					t.Error("Close does not return")
				}
			})
		})
	}
}

// member opens a connection that is in a room.
func (c *club) member(t testing.TB, room string, header ...string) (*raw, *websocket.Conn) {
	t.Helper()
	head := strings.Replace(hello, "/a", "/"+room, 1)
	for _, h := range header {
		head = strings.TrimSuffix(head, "\r\n") + h + "\r\n\r\n"
	}
	r := c.open(t, head)
	return r, <-c.conns
}

func to(t testing.TB, want int) func(int, error) {
	return func(n int, err error) {
		t.Helper()
		if n != want || err != nil {
			t.Errorf("handed to %d, %v, want %d", n, err, want)
		}
	}
}

const txt = websocket.TextMessage

func TestHub_BroadcastsToAllAndToRooms(t *testing.T) {
	clubs(t, websocket.HubConfig{}, websocket.Config{}, func(t *testing.T, c *club) {
		a, connA := c.member(t, "a")
		b, _ := c.member(t, "b")
		to(t, 2)(c.Broadcast(txt, []byte("all")))
		to(t, 1)(c.BroadcastTo("a", txt, []byte("only a")))
		to(t, 0)(c.BroadcastTo("nobody", txt, []byte("x")))
		if err := c.Join(connA, "b", "b", "c"); err != nil {
			t.Fatal(err)
		}
		to(t, 2)(c.BroadcastTo("b", websocket.BinaryMessage, []byte("both")))
		m, err := websocket.Prepare(txt, []byte("prepared"))
		if err != nil {
			t.Fatal(err)
		}
		to(t, 2)(c.BroadcastPrepared(m))
		to(t, 1)(c.BroadcastPrepared(m, "c"))
		c.Hub.Leave(connA, "b", "nowhere")
		to(t, 1)(c.BroadcastTo("b", txt, []byte("only b")))
		to(t, 1)(c.BroadcastFilter(txt, []byte("picked"), func(conn *websocket.Conn) bool { return conn == connA }))
		to(t, 2)(c.Broadcast(txt, []byte("end")))
		for _, want := range []string{"81 all", "81 only a", "82 both", "81 prepared", "81 prepared", "81 picked", "81 end"} {
			a.want(want)
		}
		for _, want := range []string{"81 all", "82 both", "81 prepared", "81 only b", "81 end"} {
			b.want(want)
		}
		if n, rooms := c.Len(), c.Rooms(); n != 2 || len(rooms) != 3 || rooms["a"] != 1 || rooms["b"] != 1 || rooms["c"] != 1 {
			t.Errorf("Len %d, Rooms %v", n, rooms)
		}
		if s := c.Hub.Stats(); s.Conns != 2 || s.Rooms != 3 || s.Published != 8 || s.Delivered != 11 || s.Filtered != 1 {
			t.Errorf("%+v", s)
		}
		a.Close()
		synctest.Wait()
		to(t, 1)(c.Broadcast(txt, []byte("less")))
		if c.Len() != 1 || len(c.Rooms()) != 1 {
			t.Errorf("when one has left: %d in %v", c.Len(), c.Rooms())
		}
		b.want("81 less")
		b.Close()
	})
}

func TestHub_UnregisteredConnectionsStayOpen(t *testing.T) {
	clubs(t, websocket.HubConfig{}, websocket.Config{}, func(t *testing.T, c *club) {
		r, conn := c.member(t, "a")
		unregister, err := c.Register(conn, "b")
		if err != nil {
			t.Fatal(err)
		}
		to(t, 1)(c.BroadcastTo("b", txt, []byte("before")))
		unregister()
		unregister()
		to(t, 0)(c.Broadcast(txt, []byte("x")))
		if err := c.Join(conn, "a"); !errors.Is(err, websocket.ErrNotRegistered) {
			t.Errorf("Join: %v", err)
		}
		_, _ = conn.Send(txt, []byte("private"))
		if _, err := c.Register(conn, "b"); err != nil {
			t.Error(err)
		}
		to(t, 0)(c.BroadcastTo("a", txt, []byte("x")))
		to(t, 1)(c.BroadcastTo("b", txt, []byte("again")))
		for _, want := range []string{"81 before", "81 private", "81 again"} {
			r.want(want)
		}
		other := websocket.NewHub(websocket.HubConfig{})
		if _, err := other.Register(conn); !errors.Is(err, websocket.ErrOtherHub) {
			t.Errorf("another hub: %v", err)
		}
		if err := other.Close(t.Context()); err != nil {
			t.Error(err)
		}
		r.Close()
		synctest.Wait()
		if _, err := c.Register(conn); !errors.Is(err, websocket.ErrClosed) {
			t.Errorf("a connection that is over: %v", err)
		}
	})
}

func TestHub_ClosesWith1001AndWaits(t *testing.T) {
	var left atomic.Int64
	hub := websocket.HubConfig{OnLeave: func(*websocket.Conn, string) { left.Add(1) }}
	clubs(t, hub, websocket.Config{}, func(t *testing.T, c *club) {
		left.Store(0)
		var all []*raw
		for range 20 {
			r, _ := c.member(t, "a")
			all = append(all, r)
		}
		_, late := c.member(t, "a")
		synctest.Wait()
		c.Unregister(late)
		to(t, 20)(c.Broadcast(txt, []byte("last")))
		done := make(chan error, 1)
		go func() { done <- c.Hub.Close(context.Background()) }()
		for _, r := range all {
			r.want("81 last")
			r.want("close 1001")
		}
		synctest.Wait()
		if len(done) > 0 {
			t.Error("it returned before the peers have closed")
		}
		for _, r := range all {
			r.send(masked(wsproto.Close, true, "\x03\xe9"))
			r.want("EOF")
			r.Close()
		}
		if err := <-done; err != nil {
			t.Errorf("Close: %v", err)
		}
		if n := left.Load(); n != 21 || c.Len() != 0 {
			t.Errorf("it returned when %d had been told to have left, and %d were there", n, c.Len())
		}
		if _, err := c.Broadcast(txt, nil); !errors.Is(err, websocket.ErrHubClosed) {
			t.Errorf("Broadcast: %v", err)
		}
		if _, err := c.BroadcastFilter(txt, nil, nil); !errors.Is(err, websocket.ErrHubClosed) {
			t.Errorf("BroadcastFilter: %v", err)
		}
		if _, err := c.Register(late); !errors.Is(err, websocket.ErrHubClosed) {
			t.Errorf("Register: %v", err)
		}
	})
}

func TestHub_CloseCutsWhenItsContextEnds(t *testing.T) {
	clubs(t, websocket.HubConfig{}, websocket.Config{CloseTimeout: time.Hour, NoKeepalive: true}, func(t *testing.T, c *club) {
		r, _ := c.member(t, "a")
		for range 10 {
			if _, err := c.Broadcast(websocket.BinaryMessage, make([]byte, 60_000)); err != nil {
				t.Fatal(err)
			}
		}
		synctest.Wait() // the peer reads nothing
		ctx, cancel := context.WithTimeoutCause(t.Context(), 3*time.Second, errors.New("enough"))
		defer cancel()
		begin := time.Now()
		if err := c.Hub.Close(ctx); err == nil || !strings.Contains(err.Error(), "enough") || time.Since(begin) != 3*time.Second {
			t.Errorf("Close: %v after %v", err, time.Since(begin))
		}
		synctest.Wait()
		if n := c.site.Stats().Streams; n != 0 {
			t.Errorf("%d connections are left", n)
		}
		r.Close()
	})
}

// slowly has a connection whose peer reads nothing fall behind while another reads all.
func slowly(t *testing.T, c *club, messages int) (slow, fast *raw, conn *websocket.Conn) {
	slow, conn = c.member(t, "a")
	fast, _ = c.member(t, "a")
	begin := time.Now()
	for i := range messages {
		if _, err := c.Broadcast(txt, fmt.Appendf(nil, "%d %s", i, strings.Repeat("x", 10_000))); err != nil {
			t.Fatal(err)
		}
		if got := fast.frame(); !strings.HasPrefix(got, fmt.Sprintf("81 %d ", i)) {
			t.Fatalf("the fast one got %.20q at %d", got, i)
		}
		synctest.Wait()
	}
	if took := time.Since(begin); took != 0 {
		t.Errorf("broadcasts took %v", took)
	}
	time.Sleep(2 * time.Second) // where a goroutine writes, a write that takes long is a refusal
	synctest.Wait()
	return slow, fast, conn
}

func TestHub_ClosesSlowConnections(t *testing.T) {
	clubs(t, websocket.HubConfig{SubscriberBuffer: 10}, websocket.Config{}, func(t *testing.T, c *club) {
		slow, fast, _ := slowly(t, c, 60)
		got := slow.frame()
		for i := 0; strings.HasPrefix(got, fmt.Sprintf("81 %d ", i)); i++ {
			got = slow.frame()
		}
		if got != "close 1013 too slow" {
			t.Errorf("behind its last message: %.50q", got)
		}
		slow.send(masked(wsproto.Close, true, "\x03\xf5"))
		slow.want("EOF")
		slow.Close()
		synctest.Wait()
		if s := c.Hub.Stats(); s.Closed != 1 || s.Conns != 1 || s.Removed != 0 {
			t.Errorf("%+v", s)
		}
		fast.Close()
	})
}

func TestHub_AsksWhatBecomesOfSlowConnections(t *testing.T) {
	var asked []websocket.SlowConn
	policy := websocket.HubPolicyDrop
	hub := websocket.HubConfig{
		SubscriberBuffer: 10,
		OnSlowConn: func(s websocket.SlowConn) websocket.HubPolicy {
			asked = append(asked, s)
			return policy
		},
		OnResync: func(_ context.Context, r websocket.Resync) ([]byte, error) {
			return fmt.Appendf(nil, "lost %s %v", r.Reason, r.Dropped > 0), nil
		},
	}
	clubs(t, hub, websocket.Config{NoKeepalive: true}, func(t *testing.T, c *club) {
		asked, policy = nil, websocket.HubPolicyDrop
		slow, fast, conn := slowly(t, c, 60)
		if len(asked) != 1 || asked[0].Conn != conn || asked[0].Messages <= 10 || asked[0].Bytes < 100_000 {
			t.Fatalf("asked %+v", asked)
		}
		last := -1
		for {
			got := slow.frame()
			if got == "81 lost lagged true" {
				break
			}
			n := 0
			if _, err := fmt.Sscanf(got, "81 %d ", &n); err != nil || n != last+1 {
				t.Fatalf("behind message %d: %.40q", last, got)
			}
			last = n
		}
		to(t, 2)(c.Broadcast(txt, []byte("go on")))
		slow.want("81 go on")
		fast.want("81 go on")
		slow.Close()
		fast.Close()
		synctest.Wait()

		asked, policy = nil, websocket.HubPolicyRemove
		slow, fast, conn = slowly(t, c, 60)
		if len(asked) != 1 || c.Len() != 1 {
			t.Errorf("asked %+v, %d are registered", asked, c.Len())
		}
		if _, err := c.Register(conn); !errors.Is(err, websocket.ErrRemoved) {
			t.Errorf("Register of one that was removed: %v", err)
		}
		to(t, 1)(c.Broadcast(txt, []byte("x")))
		_, _ = conn.Send(txt, []byte("private"))
		for got := ""; got != "81 private"; {
			if got = slow.frame(); got == "81 x" || strings.Contains(got, "EOF") {
				t.Fatal(got)
			}
		}
		slow.Close()
		fast.Close()
	})
}

func TestHub_ContainsPanics(t *testing.T) {
	hub := websocket.HubConfig{
		SubscriberBuffer: 10, OnSlowConn: func(websocket.SlowConn) websocket.HubPolicy { panic("slow") },
		OnJoin: func(*websocket.Conn, string) { panic("join") }, OnLeave: func(*websocket.Conn, string) { panic("leave") },
	}
	clubs(t, hub, websocket.Config{}, func(t *testing.T, c *club) {
		slow, fast, _ := slowly(t, c, 60)
		if n, err := c.BroadcastFilter(txt, nil, func(*websocket.Conn) bool { panic("filter") }); n != 0 || !errors.Is(err, websocket.ErrFilterPanicked) {
			t.Errorf("%d, %v", n, err)
		}
		if _, err := c.Broadcast(txt, []byte("still here")); err != nil {
			t.Error(err)
		}
		fast.want("81 still here")
		got := slow.frame()
		for strings.HasPrefix(got, "81 ") {
			got = slow.frame()
		}
		if got != "close 1011" {
			t.Errorf("the slow one got %q at its end", got)
		}
		fast.Close()
		slow.Close()
		synctest.Wait()
		if s := c.Hub.Stats(); s.CallbackPanics != 6 {
			t.Errorf("%d panics were counted, want 6", s.CallbackPanics)
		}
	})
}

func TestHub_PresenceIsInOrder(t *testing.T) {
	var d diary
	gate := make(chan struct{})
	hub := websocket.HubConfig{
		OnJoin: func(_ *websocket.Conn, room string) {
			if room == "stuck" {
				<-gate
			}
			d.note("+%s", room)
		},
		OnLeave: func(_ *websocket.Conn, room string) { d.note("-%s", room) },
	}
	clubs(t, hub, websocket.Config{}, func(t *testing.T, c *club) {
		d.lines, gate = nil, make(chan struct{})
		r, conn := c.member(t, "a")
		d.is(t, "+a")
		for range 3 {
			if err := c.Join(conn, "b"); err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
			c.Hub.Leave(conn, "b")
		}
		d.is(t, "+a", "+b", "-b", "+b", "-b", "+b", "-b")
		stuck, one := c.member(t, "stuck")
		d.lines = nil
		for range 100 { // nobody is told of who was there while nobody could be
			x, _ := c.member(t, "stuck")
			x.Close()
			synctest.Wait()
		}
		_ = c.Join(one, "free")
		d.is(t, "+free") // it hangs alone
		c.Unregister(one)
		d.is(t, "+free", "-free")
		close(gate)
		d.is(t, "+free", "-free", "+stuck", "-stuck")
		stuck.Close()
		r.Close()
		d.is(t, "+free", "-free", "+stuck", "-stuck", "-a")
	})
}

func TestHub_HistoryIsResumed(t *testing.T) {
	hub := websocket.HubConfig{
		History: 10, SubscriberBuffer: 10,
		Envelope: func(position string, data []byte) []byte { return fmt.Appendf(nil, "%s|%s", position, data) },
		OnResync: func(_ context.Context, r websocket.Resync) ([]byte, error) {
			return fmt.Appendf(nil, "%s|%s", r.Position, r.Reason), nil
		},
	}
	clubs(t, hub, websocket.Config{}, func(t *testing.T, c *club) {
		a, _ := c.member(t, "a")
		var last string
		hear := func(r *raw, want string) {
			t.Helper()
			got := strings.TrimPrefix(r.frame(), "81 ")
			position, data, _ := strings.Cut(got, "|")
			if last = position; data != want {
				t.Errorf("heard %q, want %q", got, want)
			}
		}
		to(t, 1)(c.BroadcastTo("a", txt, []byte("1")))
		hear(a, "1")
		at := last
		a.Close()
		synctest.Wait()
		to(t, 0)(c.BroadcastTo("a", txt, []byte("2")))
		to(t, 0)(c.BroadcastTo("b", txt, []byte("not for a")))
		to(t, 0)(c.Broadcast(txt, []byte("3")))
		resume := func(position string) *raw {
			r := c.open(t, strings.Replace(hello, "/a", "/a?position="+position, 1))
			<-c.conns
			return r
		}
		b := resume(at)
		hear(b, "2")
		hear(b, "3")
		to(t, 1)(c.BroadcastTo("a", txt, []byte("4")))
		hear(b, "4")
		oldest := resume("*")
		for _, want := range []string{"1", "2", "3", "4"} {
			hear(oldest, want)
		}
		newest := last
		none := resume("")
		for i := range 12 {
			to(t, 3)(c.BroadcastTo("a", txt, fmt.Append(nil, i)))
		}
		hear(none, "0")
		late := resume(at)
		hear(late, "expired")
		if last == newest || last == at {
			t.Errorf("it goes on from %s", last)
		}
		hear(resume("other-3"), "restarted")
		hear(resume("what"), "unknown_id")
		to(t, 6)(c.BroadcastTo("a", txt, []byte("5")))
		hear(late, "5")
		if _, err := c.Broadcast(txt, []byte("\xff")); !errors.Is(err, websocket.ErrInvalidUTF8) {
			t.Errorf("invalid UTF-8: %v", err)
		}
	})
}

// Positions are those that messages have in them, also when many broadcast at a time.
func TestHub_EnvelopesAreRightUnderContention(t *testing.T) {
	hub := websocket.HubConfig{Envelope: func(position string, data []byte) []byte { return []byte(position + "|" + string(data)) }}
	clubs(t, hub, websocket.Config{}, func(t *testing.T, c *club) {
		r, _ := c.member(t, "a")
		var all sync.WaitGroup
		for range 8 {
			all.Go(func() {
				for range 25 {
					if n, err := c.Broadcast(txt, []byte("x")); n != 1 || err != nil {
						t.Errorf("%d, %v", n, err)
					}
				}
			})
		}
		for i := range 200 {
			got := r.frame()
			_, p, _ := strings.Cut(strings.TrimSuffix(got, "|x"), "-")
			if p != fmt.Sprint(i+1) {
				t.Fatalf("message %d: %q", i, got)
			}
		}
		all.Wait()
		r.Close()
	})
}

// Connections come and go while everybody broadcasts, and the hub is closed in the midst of it.
func TestHub_RacesOfEverything(t *testing.T) {
	clubs(t, websocket.HubConfig{OnJoin: func(*websocket.Conn, string) {}, OnLeave: func(*websocket.Conn, string) {}},
		websocket.Config{CloseTimeout: time.Second}, func(t *testing.T, c *club) {
			var all sync.WaitGroup
			stop := make(chan struct{})
			for i := range 6 {
				all.Go(func() {
					for n := 0; ; n++ {
						select {
						case <-stop:
							return
						default:
						}
						nc, err := c.l.Dial(context.Background())
						if err != nil {
							return
						}
						r, resp := knock(t, nc, strings.Replace(hello, "/a", fmt.Sprint("/", i%3), 1))
						if resp.StatusCode != 101 {
							nc.Close()
							return
						}
						conn := <-c.conns
						switch n % 4 {
						case 0:
							c.Unregister(conn)
						case 1:
							_ = c.Join(conn, "x", "y")
							c.Hub.Leave(conn, "x")
						case 2:
							r.frame()
						}
						if n%3 == 0 {
							nc.Reset()
						}
						nc.Close()
						time.Sleep(time.Millisecond)
					}
				})
			}
			for i := range 3 {
				all.Go(func() {
					for range 200 {
						_, _ = c.BroadcastTo(fmt.Sprint(i), txt, []byte("hello"))
						_, _ = c.Broadcast(txt, []byte("all"))
						_, _ = c.BroadcastFilter(txt, []byte("some"), func(conn *websocket.Conn) bool { return conn.Param("name") == "1" })
						time.Sleep(time.Millisecond)
					}
				})
			}
			time.Sleep(100 * time.Millisecond)
			close(stop)
			time.Sleep(50 * time.Millisecond)
			if err := c.Hub.Close(context.Background()); err != nil {
				t.Error(err)
			}
			all.Wait()
			synctest.Wait()
			if s := c.Hub.Stats(); s.Conns != 0 || s.Rooms != 0 || s.Callbacks != 0 {
				t.Errorf("%+v", s)
			}
		})
}

func TestNewHub_PanicsOnMistakes(t *testing.T) {
	for name, cfg := range map[string]websocket.HubConfig{
		"SubscriberBuffer is negative": {SubscriberBuffer: -1}, "Level is 10": {Level: 10}, "MaxRooms is negative": {MaxRooms: -1},
	} {
		func() {
			defer func() {
				if p, ok := recover().(string); !ok || !strings.Contains(p, name) {
					t.Errorf("%s: %v", name, p)
				}
			}()
			websocket.NewHub(cfg)
		}()
	}
}

func TestHub_RefusesLargeMessages(t *testing.T) {
	for envelope, fits := range map[string]int{"": 1000, "0123456789": 990} {
		cfg := websocket.HubConfig{MaxMessageBytes: 1000}
		if envelope != "" {
			cfg.Envelope = func(_ string, data []byte) []byte { return append([]byte(envelope), data...) }
		}
		h := websocket.NewHub(cfg)
		for n, want := range map[int]error{fits: nil, fits + 1: websocket.ErrTooBig} {
			data := make([]byte, n)
			m, err := websocket.Prepare(websocket.BinaryMessage, data)
			if err != nil {
				t.Fatal(err)
			}
			_, all := h.Broadcast(websocket.BinaryMessage, data)
			_, room := h.BroadcastTo("a", websocket.BinaryMessage, data)
			_, prepared := h.BroadcastPrepared(m)
			if !errors.Is(all, want) || !errors.Is(room, want) || !errors.Is(prepared, want) {
				t.Errorf("%d bytes: %v, %v, %v", n, all, room, prepared)
			}
		}
		for n, want := range map[int]error{1000: nil, 1001: websocket.ErrTooBig} { // without an envelope
			_, err := h.BroadcastFilter(websocket.BinaryMessage, make([]byte, n), func(*websocket.Conn) bool { return true })
			if !errors.Is(err, want) {
				t.Errorf("filtered, %d bytes: %v", n, err)
			}
		}
		if err := h.Close(t.Context()); err != nil {
			t.Error(err)
		}
	}
}

func TestHub_ConnsAreThoseInARoom(t *testing.T) {
	clubs(t, websocket.HubConfig{}, websocket.Config{}, func(t *testing.T, c *club) {
		r, one := c.member(t, "a")
		s, other := c.member(t, "b")
		if err := c.Join(other, "a"); err != nil {
			t.Fatal(err)
		}
		in := func(room string, want ...*websocket.Conn) {
			t.Helper()
			got := slices.Collect(c.Conns(room))
			if len(got) != len(want) {
				t.Errorf("%d are in %s, want %d", len(got), room, len(want))
			}
			for _, conn := range want {
				if !slices.Contains(got, conn) {
					t.Errorf("one is missing in %s", room)
				}
			}
		}
		in("a", one, other)
		in("b", other)
		in("c")
		for conn := range c.Conns("a") { // a loop may change who is there, and end
			c.Hub.Leave(conn, "a")
		}
		in("a")
		s.Close()
		synctest.Wait()
		in("b")
		r.Close()
	})
}
