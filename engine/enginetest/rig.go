package enginetest

import (
	"context"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/goceleris/celeris/engine"
	"github.com/goceleris/celeris/engine/std"
	"github.com/goceleris/celeris/internal/fanout"
	"github.com/goceleris/celeris/internal/memnet"
	"github.com/goceleris/celeris/internal/park"
)

// Rig is one way of driving streams. It is made, used and closed inside one bubble of testing/synctest.
type Rig struct {
	// Open has s driven on a new connection whose buffers hold so many bytes in each direction, and returns the client's
	// end of it. The client may get an HTTP head before the stream. Open does not wait for the client.
	Open func(s *Stream, buffer int) *memnet.Conn
	// Parks says that streams have no goroutine of their own and that what clients send is read and thrown away.
	Parks bool
	// Stats are those of the engine; nil if it has none.
	Stats func() engine.Stats
	// Close ends the streams that are left, and returns when nothing runs any more.
	Close func()
}

// Stream is what a [Rig] drives. It is the driver of its member and passes everything on to the one that the rig names.
type Stream struct {
	Member *fanout.Member
	// First is what the client gets before anything of Member.
	First []byte
	// Parking says how it is driven.
	Parking park.Parking

	to      atomic.Pointer[fanout.Driver]
	cut     atomic.Bool
	resumed atomic.Bool
}

var _ fanout.Driver = (*Stream)(nil)

// DrivenBy makes d the driver from here on. What the stream was told before is repeated.
func (s *Stream) DrivenBy(d fanout.Driver) {
	s.to.Store(&d)
	d.Wake()
	if s.cut.Load() {
		d.Interrupt()
	}
	if s.resumed.Load() {
		resumed(d)
	}
}

// Resume has reading go on that Parking.Inbound paused.
func (s *Stream) Resume() {
	s.resumed.Store(true)
	if d := s.to.Load(); d != nil {
		resumed(*d)
	}
}

// Say has a frame sent between two others.
func (s *Stream) Say(frame []byte) {
	if d, ok := (*s.to.Load()).(park.Driver); ok {
		d.Say(frame)
	}
}

// Enough has nothing reach Parking.Inbound any more.
func (s *Stream) Enough() {
	if d, ok := (*s.to.Load()).(park.Driver); ok {
		d.Enough()
	}
}

func resumed(d fanout.Driver) {
	if d, ok := d.(park.Driver); ok {
		d.Resume()
	}
}

// Wake implements [fanout.Driver].
func (s *Stream) Wake() {
	if d := s.to.Load(); d != nil {
		(*d).Wake()
	}
}

// Interrupt implements [fanout.Driver].
func (s *Stream) Interrupt() {
	s.cut.Store(true)
	if d := s.to.Load(); d != nil {
		(*d).Interrupt()
	}
}

// Parked returns a rig that parks streams on e, which must take connections of package memnet.
func Parked(t testing.TB, e park.Engine) Rig {
	t.Helper()
	var opening sync.WaitGroup
	var mu sync.Mutex
	conns := map[net.Conn]bool{} // guarded by mu: not parked yet
	open := func(s *Stream, buffer int) *memnet.Conn {
		client, server := pair(t, buffer)
		s.Parking.Sent = int64(len(s.First))
		park := func() { s.DrivenBy(e.Park(server, s.Member, s.Parking)) }
		n, err := server.TryWrite(s.First)
		if err == nil {
			park()
			return client
		}
		mu.Lock()
		conns[server] = true
		mu.Unlock()
		opening.Go(func() { // a goroutine until the first bytes are out, as with a request
			defer func() {
				mu.Lock()
				delete(conns, server)
				mu.Unlock()
			}()
			_ = server.SetWriteDeadline(time.Now().Add(s.Parking.MaxStall))
			k, err := server.Write(s.First[n:])
			if err == nil {
				park()
				return
			}
			_ = server.Close()
			reason := engine.ErrPeerGone
			if errors.Is(err, os.ErrDeadlineExceeded) {
				reason = engine.ErrStalled
			}
			s.Parking.Owner.OnEnd(engine.End{Reason: s.Member.End(reason), Bytes: int64(n + k), Duration: time.Since(s.Parking.Born)})
		})
		return client
	}
	return Rig{Open: open, Parks: true, Stats: e.Stats, Close: func() {
		e.Close()
		mu.Lock()
		for c := range conns {
			_ = c.Close()
		}
		mu.Unlock()
		opening.Wait()
	}}
}

// Portable returns a rig that drives streams with package std, on the goroutines of a net/http server.
func Portable(t testing.TB) Rig {
	t.Helper()
	l := &feed{conns: make(chan net.Conn), done: make(chan struct{})}
	l.close = sync.OnceFunc(func() { close(l.done) })
	var streams sync.Map         // by the server's end of their connections
	var coming, running sync.Map // those whose request has not come yet, those that have begun
	var serving sync.WaitGroup
	type key struct{}
	srv := &http.Server{
		ErrorLog: log.New(io.Discard, "", 0),
		ConnContext: func(ctx context.Context, c net.Conn) context.Context {
			s, _ := streams.LoadAndDelete(c)
			return context.WithValue(ctx, key{}, s)
		},
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			s := r.Context().Value(key{}).(*Stream)
			coming.Delete(s)
			running.Store(s, true)
			defer running.Delete(s)
			p := &s.Parking
			st := std.New(std.Config{
				Context: r.Context(), Base: w, Out: w,
				MaxStall: p.MaxStall, Heartbeat: p.Heartbeat, Beat: p.Beat, MaxAge: p.MaxAge, OnAge: p.Owner.OnAge,
			}, r.ProtoMajor)
			s.DrivenBy(st)
			w.Header().Set("Transfer-Encoding", "identity") // to the end of the connection, without chunks
			if err := st.Open(s.First); err != nil {
				s.Member.Finish(err, nil, false)
			}
			end, _ := st.Run(s.Member)
			p.Owner.OnEnd(end)
		}),
	}
	serving.Go(func() { _ = srv.Serve(l) })
	open := func(s *Stream, buffer int) *memnet.Conn {
		client, server := pair(t, buffer)
		streams.Store(net.Conn(server), s)
		coming.Store(s, true)
		l.conns <- server
		request := []byte("GET / HTTP/1.1\r\nHost: celeris\r\n\r\n")
		if n, err := client.TryWrite(request); err != nil {
			serving.Go(func() { _, _ = client.Write(request[n:]) })
		}
		return client
	}
	return Rig{Open: open, Close: func() {
		_ = srv.Close()
		running.Range(func(s, _ any) bool {
			s.(*Stream).Member.Cut(engine.ErrCut)
			return true
		})
		serving.Wait()
		synctest.Wait()
		coming.Range(func(s, _ any) bool {
			p := &s.(*Stream).Parking
			p.Owner.OnEnd(engine.End{Reason: s.(*Stream).Member.End(engine.ErrPeerGone), Duration: time.Since(p.Born)})
			return true
		})
	}}
}

// feed is a listener of connections that are there already.
type feed struct {
	conns chan net.Conn
	done  chan struct{}
	close func()
}

func (f *feed) Accept() (net.Conn, error) {
	select {
	case c := <-f.conns:
		return c, nil
	case <-f.done:
		return nil, net.ErrClosed
	}
}

func (f *feed) Close() error   { f.close(); return nil }
func (f *feed) Addr() net.Addr { return &net.TCPAddr{} }

// pair returns the two ends of a connection.
func pair(t testing.TB, buffer int) (client, server *memnet.Conn) {
	t.Helper()
	l := memnet.Listen(buffer)
	accepted := make(chan *memnet.Conn, 1)
	go func() {
		c, err := l.Accept()
		if err != nil {
			panic(err) // nobody closes it
		}
		accepted <- c.(*memnet.Conn)
	}()
	client, err := l.Dial(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return client, <-accepted
}
