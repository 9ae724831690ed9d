package websocket_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http/httptest"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/goceleris/celeris"
	"github.com/goceleris/celeris/engine"
	"github.com/goceleris/celeris/engine/sim"
	"github.com/goceleris/celeris/internal/memnet"
	"github.com/goceleris/celeris/internal/wsproto"
	"github.com/goceleris/celeris/middleware/websocket"
)

// back echoes in a callback.
func back(c *websocket.Conn, t websocket.MessageType, data []byte) { _, _ = c.Send(t, data) }

func TestCallbacks_EchoMessagesOfAllSizes(t *testing.T) {
	for name, z := range modes {
		t.Run(name, func(t *testing.T) {
			cfg := websocket.Config{OnMessage: back, Compression: z, ReadLimit: 2 << 20, MaxBacklog: 4 << 20}
			cert := httptest.NewTLSServer(nil)
			t.Cleanup(cert.Close)
			roots := x509.NewCertPool()
			roots.AddCert(cert.Certificate())
			ways, servers := map[string]string{"portable": serveTCP(t, cfg)}, map[string]*celeris.Server{}
			for where, server := range map[string]celeris.Config{
				"epoll": {}, "io_uring": {Engine: engine.IOUring}, "std": {Engine: engine.Std},
				"TLS": {TLSConfig: &tls.Config{Certificates: cert.TLS.Certificates}},
			} {
				server.Logger = quiet
				ways[where], servers[where] = serveOn(t, cfg, server)
			}
			for where, url := range ways {
				c := dial(t, url, &websocket.DialOptions{
					Compression: z, ReadLimit: 2 << 20, TLSConfig: &tls.Config{RootCAs: roots, ServerName: "example.com"},
				})
				echoes(t, c)
				if s := servers[where]; s != nil && runtime.GOOS == "linux" {
					if n := s.Stats().ParkedStreams; (n == 1) != (where != "std") {
						t.Errorf("%s: %d are parked", where, n)
					}
				}
			}
		})
	}
}

// everywhere runs a test in a bubble with connections that are parked, and with such that have a goroutine.
func everywhere(t *testing.T, test func(t *testing.T, open func(websocket.Config) *site)) {
	for _, parks := range []bool{true, false} {
		t.Run(map[bool]string{true: "parked", false: "portable"}[parks], func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				test(t, func(cfg websocket.Config) *site {
					cfg.Logger = quiet
					s := newSite(celeris.Config{Logger: quiet})
					if parks {
						s.sim = sim.New()
					}
					s.GET("/{name}", websocket.New(cfg))
					s.start(t)
					return s
				})
			})
		})
	}
}

// diary notes what callbacks are told.
type diary struct {
	mu    sync.Mutex // guards lines
	lines []string
}

func (d *diary) note(format string, args ...any) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.lines = append(d.lines, fmt.Sprintf(format, args...))
}

// is compares what was noted, when everything has come to rest.
func (d *diary) is(t *testing.T, want ...string) {
	t.Helper()
	synctest.Wait()
	d.mu.Lock()
	defer d.mu.Unlock()
	if !slices.Equal(d.lines, want) {
		t.Errorf("noted %q, want %q", d.lines, want)
	}
}

// config notes everything.
func (d *diary) config() websocket.Config {
	return websocket.Config{
		OnOpen:    func(c *websocket.Conn) { d.note("open %s", c.Param("name")) },
		OnMessage: func(_ *websocket.Conn, t websocket.MessageType, data []byte) { d.note("%v %s", t, data) },
		OnClose:   func(_ *websocket.Conn, err error) { d.note("close %d %v", websocket.CloseCode(err), err) },
	}
}

func TestCallbacks_AreCalledInOrder(t *testing.T) {
	everywhere(t, func(t *testing.T, open func(websocket.Config) *site) {
		var d diary
		s := open(d.config())
		// Messages that lie behind the handshake, in pieces, with a ping between, and the end in the same breath.
		r := s.open(t, hello+string(masked(wsproto.Text, false, "one"))+string(masked(wsproto.Ping, true, "p"))+
			string(masked(wsproto.Continuation, true, " message"))+string(masked(wsproto.Binary, true, ""))+
			string(masked(wsproto.Close, true, "\x0f\xa0bye")))
		r.want("8a p")
		r.want("close 4000")
		r.want("EOF")
		r.Close()
		d.is(t, "open a", "text one message", "binary ", "close 4000 websocket: closed by the peer with 4000: bye")
		if st := s.Stats(); st.Streams != 0 || st.Callbacks != 0 {
			t.Errorf("%+v", st)
		}
	})
}

func TestCallbacks_TellWhyItEnded(t *testing.T) {
	for name, tt := range map[string]struct {
		act   func(s *site, r *raw, c *websocket.Conn)
		sends []string
		want  func(error) bool
	}{
		"peer leaves": {func(_ *site, r *raw, _ *websocket.Conn) { r.Close() }, nil,
			func(err error) bool { return errors.Is(err, engine.ErrPeerGone) && websocket.CloseCode(err) == 1006 }},
		"peer breaks off": {func(_ *site, r *raw, _ *websocket.Conn) { r.Conn.(*memnet.Conn).Reset() }, nil,
			func(err error) bool { return errors.Is(err, engine.ErrPeerGone) }},
		"peer breaks the protocol": {func(_ *site, r *raw, _ *websocket.Conn) { r.send([]byte{0xff, 0x80}) }, []string{"close 1002 reserved opcode"},
			func(err error) bool {
				e, ok := errors.AsType[*websocket.ProtocolError](err)
				return ok && e.Code == 1002
			}},
		"text that is none": {func(_ *site, r *raw, _ *websocket.Conn) { r.send(masked(wsproto.Text, false, "\xc3(")) }, []string{"close 1007 text is not UTF-8"},
			func(err error) bool {
				e, ok := errors.AsType[*websocket.ProtocolError](err)
				return ok && e.Code == 1007
			}},
		"too large": {func(_ *site, r *raw, _ *websocket.Conn) {
			r.send(masked(wsproto.Text, true, strings.Repeat("x", 1001)))
		}, []string{"close 1009 message is too big"},
			func(err error) bool { return errors.Is(err, websocket.ErrMessageTooBig) }},
		"closed here": {func(_ *site, r *raw, c *websocket.Conn) {
			go c.Close(4001, "over")
			synctest.Wait()
			r.send(masked(wsproto.Close, true, "\x0f\xa1"))
		}, []string{"close 4001 over"}, func(err error) bool {
			e, ok := errors.AsType[*websocket.CloseError](err)
			return ok && e.Local && e.Code == 4001
		}},
		"closed here, peer says nothing": {func(_ *site, _ *raw, c *websocket.Conn) {
			go c.Close(4001, "")
		}, []string{"close 4001"}, func(err error) bool { return errors.Is(err, websocket.ErrCloseTimeout) }},
		"closed here, peer leaves": {func(_ *site, r *raw, c *websocket.Conn) {
			go c.Close(4001, "")
			r.want("close 4001")
			r.Close()
		}, nil, func(err error) bool { return errors.Is(err, engine.ErrPeerGone) }},
		"cut": {func(_ *site, _ *raw, c *websocket.Conn) { _ = c.CloseNow() }, nil, func(err error) bool { return errors.Is(err, engine.ErrCut) }},
		"shutdown": {func(s *site, r *raw, _ *websocket.Conn) {
			go s.Shutdown(context.Background())
			r.want("close 1001")
			r.send(masked(wsproto.Close, true, "\x03\xe9"))
		}, nil, func(err error) bool { return errors.Is(err, engine.ErrShutdown) || websocket.CloseCode(err) == 1001 }},
		"silence": {func(_ *site, r *raw, _ *websocket.Conn) {
			r.want("89 ")
			r.send(masked(wsproto.Pong, true, ""))
			r.want("89 ")
		}, nil, func(err error) bool { return errors.Is(err, websocket.ErrPongTimeout) }},
	} {
		t.Run(strings.ReplaceAll(name, " ", "_"), func(t *testing.T) {
			everywhere(t, func(t *testing.T, open func(websocket.Config) *site) {
				conns, ends := make(chan *websocket.Conn, 1), make(chan error, 2)
				s := open(websocket.Config{
					ReadLimit: 1000, OnOpen: func(c *websocket.Conn) { conns <- c }, OnClose: func(_ *websocket.Conn, err error) { ends <- err },
				})
				r := s.open(t, hello)
				c := <-conns
				tt.act(s, r, c)
				for _, want := range tt.sends {
					r.want(want)
				}
				err := <-ends
				if !tt.want(err) {
					t.Errorf("ended with %v", err)
				}
				if context.Cause(c.Context()) == nil {
					t.Error("its context goes on")
				}
				if _, err := c.Send(websocket.TextMessage, nil); !errors.Is(err, websocket.ErrClosed) {
					t.Errorf("Send after the end: %v", err)
				}
				r.Close()
				synctest.Wait()
				if len(ends) > 0 || s.Stats().Streams != 0 {
					t.Errorf("%d more ends, %d streams", len(ends), s.Stats().Streams)
				}
			})
		})
	}
}

func TestCallbacks_CloseAtOnceWhatCannotBeInflated(t *testing.T) {
	deflated := func(op wsproto.Opcode, payload string) []byte {
		return wsproto.AppendFrame(nil, wsproto.Frame{Opcode: op, Fin: true, Compressed: true, Masked: true}, []byte(payload))
	}
	pack := func(s string) string { return string(wsproto.AppendDeflate(nil, []byte(s), nil, 15, 9)) }
	for name, tt := range map[string]struct {
		in   []byte
		code int
	}{
		"no deflated data":  {deflated(wsproto.Binary, "\xff\xff\xff"), 1007},
		"text that is none": {deflated(wsproto.Text, pack("\xc3(")), 1007},
		"too large":         {deflated(wsproto.Binary, pack(strings.Repeat("x", 1001))), 1009},
	} {
		t.Run(strings.ReplaceAll(name, " ", "_"), func(t *testing.T) {
			everywhere(t, func(t *testing.T, open func(websocket.Config) *site) {
				ends := make(chan error, 1)
				s := open(websocket.Config{
					ReadLimit: 1000, Compression: websocket.Compression{Enabled: true}, OnClose: func(_ *websocket.Conn, err error) { ends <- err },
				})
				r := s.open(t, strings.Replace(hello, "\r\n\r\n", "\r\n"+deflateHello, 1))
				begin := time.Now()
				r.send(tt.in)
				if got := r.frame(); !strings.HasPrefix(got, fmt.Sprintf("close %d ", tt.code)) {
					t.Errorf("answered by %q", got)
				}
				r.want("EOF")
				if d := time.Since(begin); d != 0 {
					t.Errorf("closed after %v", d)
				}
				r.Close()
				err := <-ends
				if e, ok := errors.AsType[*websocket.ProtocolError](err); !ok || e.Code != tt.code {
					t.Errorf("ended with %v", err)
				}
			})
		})
	}
}

func TestCallbacks_PanicIsOneConnections(t *testing.T) {
	for name, cfg := range map[string]websocket.Config{
		"OnOpen":              {OnOpen: func(*websocket.Conn) { panic("oh") }},
		"OnMessage":           {OnMessage: func(*websocket.Conn, websocket.MessageType, []byte) { panic("oh") }},
		"OnMessage by Goexit": {OnMessage: func(*websocket.Conn, websocket.MessageType, []byte) { runtime.Goexit() }},
	} {
		t.Run(strings.ReplaceAll(name, " ", "_"), func(t *testing.T) {
			everywhere(t, func(t *testing.T, open func(websocket.Config) *site) {
				var d diary
				calls := 0
				inner := cfg.OnMessage
				cfg := cfg
				cfg.OnMessage = func(c *websocket.Conn, typ websocket.MessageType, data []byte) {
					if calls++; inner != nil {
						inner(c, typ, data)
					}
				}
				cfg.OnClose = func(_ *websocket.Conn, err error) { d.note("%v", errors.Is(err, websocket.ErrPanicked)) }
				s := open(cfg)
				r := s.open(t, hello+string(text("a"))+string(text("b")))
				r.want("close 1011")
				r.send(masked(wsproto.Close, true, "\x03\xf3"))
				r.want("EOF")
				r.Close()
				d.is(t, "true")
				if calls > 1 {
					t.Error("it is called again")
				}
				if n := s.Stats().Ends[engine.EndPanicked]; n != 1 {
					t.Errorf("%d ends by a panic", n)
				}
			})
		})
	}
}

// A callback that hangs delays nobody else, and makes its own peer wait.
func TestCallbacks_ThatHangHoldTheirPeerBack(t *testing.T) {
	everywhere(t, func(t *testing.T, open func(websocket.Config) *site) {
		gate, got := make(chan struct{}), 0
		s := open(websocket.Config{MaxInbox: 4, OnMessage: func(c *websocket.Conn, typ websocket.MessageType, data []byte) {
			if string(data) == "echo" {
				back(c, typ, data)
				return
			}
			<-gate
			got++
		}})
		slow, fast := s.open(t, hello), s.open(t, hello)
		sent := 0
		nc := slow.Conn.(*memnet.Conn)
		for {
			n, _ := nc.TryWrite(text(strings.Repeat("x", 1000)))
			synctest.Wait()
			if n < 1008 {
				break
			}
			sent++
		}
		if sent > 400 { // what its inbox and the connection's buffers hold
			t.Errorf("%d messages of 1 KB went into the inbox of a callback that hangs", sent)
		}
		for range 10 {
			fast.send(text("echo"))
			fast.want("81 echo")
		}
		fast.Close()
		time.Sleep(5 * time.Minute) // that its pongs are not read is not its fault
		synctest.Wait()
		if n := s.Stats().Streams; n != 1 {
			t.Errorf("%d streams are left", n)
		}
		close(gate)
		synctest.Wait()
		if got != sent {
			t.Errorf("%d messages were handled, want %d", got, sent)
		}
		slow.Close()
	})
}

func TestCallbacks_FloodsCostNothing(t *testing.T) {
	everywhere(t, func(t *testing.T, open func(websocket.Config) *site) {
		var d diary
		cfg := d.config()
		cfg.MaxQueued = 4
		s := open(cfg)
		r := s.open(t, hello)
		nc := r.Conn.(*memnet.Conn)
		go func() {
			for range 5000 {
				if _, err := nc.Write(masked(wsproto.Ping, true, strings.Repeat("p", 125))); err != nil {
					return
				}
			}
			_, _ = nc.Write(masked(wsproto.Ping, true, "last"))
			_, _ = nc.Write(text("done"))
		}()
		synctest.Wait() // nobody reads the pongs
		d.is(t, "open a", "text done")
		for got := ""; got != "8a last"; {
			if got = r.frame(); !strings.HasPrefix(got, "8a ") {
				t.Fatalf("got %q", got)
			}
		}
		r.Close()
	})
}

func TestCallbacks_ConnKnowsItsRequest(t *testing.T) {
	everywhere(t, func(t *testing.T, open func(websocket.Config) *site) {
		conns := make(chan *websocket.Conn, 1)
		s := open(websocket.Config{OnOpen: func(c *websocket.Conn) { conns <- c }, Subprotocols: []string{"chat"}})
		r := s.open(t, strings.Replace(hello, "\r\n\r\n", "\r\nX-Who: me\r\nSec-WebSocket-Protocol: chat\r\n\r\n", 1))
		c := <-conns
		synctest.Wait()
		if c.Param("name") != "a" || c.Header("X-Who") != "me" || c.RemoteAddr() != r.LocalAddr().String() || c.Subprotocol() != "chat" {
			t.Errorf("%q %q %q %q", c.Param("name"), c.Header("X-Who"), c.RemoteAddr(), c.Subprotocol())
		}
		if q := c.Request(); q.Context() != c.Context() || q.Host != "site" || q.URL.Path != "/a" {
			t.Errorf("%+v", q)
		}
		if _, _, err := c.ReadMessage(t.Context()); !errors.Is(err, websocket.ErrCallbacks) {
			t.Errorf("ReadMessage: %v", err)
		}
		if c.Set("k", 1); func() any { v, _ := c.Get("k"); return v }() != 1 {
			t.Error("Set and Get")
		}
		r.Close()
	})
}

func TestCallbacks_SendsTellWhatBecameOfThem(t *testing.T) {
	everywhere(t, func(t *testing.T, open func(websocket.Config) *site) {
		conns := make(chan *websocket.Conn, 1)
		s := open(websocket.Config{OnOpen: func(c *websocket.Conn) { conns <- c }, MaxQueued: 5})
		r := s.open(t, hello)
		c := <-conns
		message, dropped := bytes.Repeat([]byte("x"), 20_000), 0
		for range 50 {
			o, err := c.Send(websocket.BinaryMessage, message)
			if o == websocket.Dropped {
				if dropped++; !errors.Is(err, websocket.ErrBacklog) {
					t.Fatal(err)
				}
			}
			synctest.Wait()
		}
		select {
		case <-c.Drained():
			t.Error("drained while the peer reads nothing")
		default:
		}
		if dropped == 0 || c.BufferedAmount() < 4*20_000 {
			t.Errorf("%d dropped, %d buffered", dropped, c.BufferedAmount())
		}
		wrote := make(chan error, 1)
		go func() { wrote <- c.WriteMessage(context.Background(), websocket.TextMessage, []byte("last")) }()
		for range 50 - dropped {
			if got := r.frame(); len(got) != 20_003 {
				t.Fatalf("a frame of %d bytes", len(got))
			}
		}
		r.want("81 last")
		if err := <-wrote; err != nil {
			t.Error(err)
		}
		<-c.Drained()
		if err := c.Flush(t.Context()); err != nil || c.BufferedAmount() != 0 {
			t.Errorf("Flush: %v, %d buffered", err, c.BufferedAmount())
		}
		r.Close()
	})
}

// Parked connections that are idle have no goroutine.
func TestCallbacks_HaveNoGoroutines(t *testing.T) {
	const conns = 200
	var open sync.WaitGroup
	open.Add(conns)
	url := serveCeleris(t, websocket.Config{OnOpen: func(*websocket.Conn) { open.Done() }, OnMessage: back})
	before := runtime.NumGoroutine()
	var all []*raw
	for range conns {
		all = append(all, dialRaw(t, url))
	}
	open.Wait()
	for _, r := range all {
		r.send(text("hi"))
		r.want("81 hi")
	}
	for end := time.Now().Add(10 * time.Second); runtime.NumGoroutine() > before+10; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%d goroutines more for %d connections", runtime.NumGoroutine()-before, conns)
		}
	}
}

func TestCallbacks_ChurnLeavesNothing(t *testing.T) {
	cfg := websocket.Config{OnMessage: back, CloseTimeout: time.Second}
	for where, url := range map[string]string{"parked": serveCeleris(t, cfg), "portable": serveTCP(t, cfg)} {
		var all sync.WaitGroup
		for worker := range 4 {
			all.Go(func() {
				for i := range 100 {
					nc, err := net.Dial("tcp", strings.Split(strings.TrimPrefix(url, "ws://"), "/")[0])
					if err != nil {
						t.Error(err)
						return
					}
					r, _ := knock(t, nc, hello)
					r.send(text("hi"))
					switch (i + worker) % 4 {
					case 0:
						r.want("81 hi")
						r.send(masked(wsproto.Close, true, ""))
						r.want("88 ")
					case 1:
						_ = nc.(*net.TCPConn).SetLinger(0)
					case 2:
						r.send(masked(wsproto.Text, true, "half a frame")[:5])
					}
					_ = nc.Close()
				}
			})
		}
		all.Wait()
		_ = where
	}
}

func TestCallbacks_CloseTellsWhatThePeerDid(t *testing.T) {
	for name, tt := range map[string]struct {
		act  func(r *raw)
		want error
	}{
		"answers":      {func(r *raw) { r.send(masked(wsproto.Close, true, "\x03\xe8")) }, nil},
		"says nothing": {func(*raw) {}, websocket.ErrCloseTimeout},
		"leaves":       {func(r *raw) { r.Close() }, engine.ErrPeerGone},
	} {
		t.Run(strings.ReplaceAll(name, " ", "_"), func(t *testing.T) {
			everywhere(t, func(t *testing.T, open func(websocket.Config) *site) {
				conns := make(chan *websocket.Conn, 1)
				s := open(websocket.Config{CloseTimeout: 3 * time.Second, OnOpen: func(c *websocket.Conn) { conns <- c }})
				r := s.open(t, hello)
				c := <-conns
				done := make(chan error)
				go func() { done <- c.Close(1000, "") }()
				r.want("close 1000")
				tt.act(r)
				if err := <-done; !errors.Is(err, tt.want) {
					t.Errorf("Close = %v, want %v", err, tt.want)
				}
				r.Close()
			})
		})
	}
}
