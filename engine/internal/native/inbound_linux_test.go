package native

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/goceleris/celeris/engine"
	"github.com/goceleris/celeris/engine/enginetest"
	"github.com/goceleris/celeris/internal/fanout"
	"github.com/goceleris/celeris/internal/park"
)

// ear takes what it likes, pauses when it likes, and is resumed by another goroutine.
type ear struct {
	stream *enginetest.Stream
	resume chan struct{}
	last   byte // with which the peer ends

	mu    sync.Mutex // guards what follows
	r     *rand.Rand
	heard []byte
	room  *sync.Cond
}

func newEar(seed uint64) *ear {
	e := &ear{r: rand.New(rand.NewPCG(seed, 5)), resume: make(chan struct{}, 1)}
	e.room = sync.NewCond(&e.mu)
	return e
}

// OnData implements [park.Inbound].
func (e *ear) OnData(p []byte) (int, park.Reading) {
	e.mu.Lock()
	defer e.mu.Unlock()
	n, next := len(p), park.More
	switch i := bytes.IndexByte(p, e.last); {
	case e.last != 0 && i >= 0:
		n, next = i+1, park.Enough
	case e.r.IntN(3) == 0:
		n, next = e.r.IntN(len(p)+1), park.Pause
		e.resume <- struct{}{}
	}
	e.heard = append(e.heard, p[:n]...)
	e.room.Broadcast()
	return n, next
}

// await waits until it has heard n bytes.
func (e *ear) await(n int) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for len(e.heard) < n {
		e.room.Wait()
	}
}

// listen parks a stream on one end of a connection, and e listens to the other.
func (r *rig) listen(t *testing.T, c net.Conn, e *ear, early string) *enginetest.Stream {
	t.Helper()
	pace := &park.Pace{MaxStall: time.Minute, Heartbeat: time.Minute, Parting: time.Minute}
	s := &enginetest.Stream{Parking: park.Parking{
		Pace: pace, Owner: told(r.ends), Born: time.Now(), Inbound: e, Early: []byte(early),
	}}
	e.stream = s
	s.Member = fanout.NewMember(s, owner{}, 4)
	if err := r.core.Open(s.Member, "", "t"); err != nil {
		t.Fatal(err)
	}
	var resumer sync.WaitGroup
	quit := make(chan struct{})
	resumer.Go(func() {
		for {
			select {
			case <-e.resume:
				s.Resume()
			case <-quit:
				return
			}
		}
	})
	t.Cleanup(func() {
		close(quit)
		resumer.Wait()
	})
	s.DrivenBy(r.Park(c, s.Member, s.Parking))
	return s
}

func TestEngine_HandsOnWhatPeersSend(t *testing.T) {
	for _, network := range networks {
		for seed := range uint64(8) {
			r := newRig(t)
			here, there := connected(t, network)
			e := newEar(seed)
			r.listen(t, here, e, "early ")
			dice := rand.New(rand.NewPCG(seed, 6))
			want := []byte("early ")
			for range 60 {
				p := make([]byte, 1+dice.IntN(1+dice.IntN(200_000)))
				for i := range p {
					p[i] = byte(dice.Uint32()>>24) | 1
				}
				if _, err := there.Write(p); err != nil {
					t.Fatal(err)
				}
				if want = append(want, p...); dice.IntN(3) == 0 {
					e.await(len(want)) // all of it is read: nothing but an edge tells of more
				}
			}
			if seed%2 == 0 {
				e.await(len(want))
			}
			if err := there.(interface{ CloseWrite() error }).CloseWrite(); err != nil {
				t.Fatal(err)
			}
			r.end(t, engine.ErrPeerGone)
			if !bytes.Equal(e.heard, want) {
				t.Errorf("%s, seed %d: heard %d bytes of %d", network, seed, len(e.heard), len(want))
			}
		}
	}
}

func TestEngine_PartsWithTheLastWord(t *testing.T) {
	for _, network := range networks {
		r := newRig(t)
		here, there := connected(t, network)
		e := newEar(1)
		e.last = '.'
		s := r.listen(t, here, e, "")
		s.Member.Finish(errDone, []byte("bye\n"), true)
		if got, err := io.ReadAll(io.LimitReader(there, 4)); string(got) != "bye\n" || err != nil {
			t.Fatalf("%q, %v", got, err)
		}
		if _, err := there.Write([]byte("and so to bed. ")); err != nil {
			t.Fatal(err)
		}
		if got, err := io.ReadAll(there); len(got) > 0 || err != nil {
			t.Errorf("behind the last word: %q, %v, want the end", got, err)
		}
		there.Close()
		r.end(t, errDone)
	}
}

func TestEngine_ToldOfAReset(t *testing.T) {
	r := newRig(t)
	here, there := connected(t, "tcp")
	r.listen(t, here, newEar(2), "")
	if err := errors.Join(there.(*net.TCPConn).SetLinger(0), there.Close()); err != nil {
		t.Fatal(err)
	}
	r.end(t, engine.ErrPeerGone)
}
