package fanout

import (
	"context"
	"errors"
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// runner drives a member with a goroutine, as a portable engine does, and keeps what it saw.
type runner struct {
	member *Member
	wakes  chan struct{}
	seen   []Position
	errs   []string
	notice int
}

func (d *runner) Wake() {
	select {
	case d.wakes <- struct{}{}:
	default:
	}
}
func (d *runner) Interrupt()            { d.Wake() }
func (d *runner) Farewell(error) []byte { return nil }
func (d *runner) Lost(int) []byte       { return nil }

// run reads until the member ends. An id never goes down and no event comes twice.
func (d *runner) run() {
	var at Position
	for range d.wakes {
		for st := More; st != Idle; {
			var bufs [][]byte
			bufs, st = d.member.Next(nil, 4<<10)
			text := strings.TrimSuffix(string(slices.Concat(bufs...)), "\n\n")
			for f := range strings.SplitSeq(text, "\n\n") {
				b, err := parseBlock(f)
				switch {
				case f == "":
					continue
				case err != nil:
					d.errs = append(d.errs, err.Error())
				case b.kind == kindResync:
					d.notice++
				case b.kind == kindEvent && b.pos <= at:
					d.errs = append(d.errs, "goes back")
				case b.kind == kindEvent:
					d.seen = append(d.seen, b.pos)
				}
				at = max(at, b.pos)
			}
			if st == Finished {
				d.member.End(nil)
				return
			}
		}
	}
}

// TestStress lets publishers, members, joins, leaves, sends and ends meet. Members that stay see every frame of
// their topics in order, each once.
func TestStress(t *testing.T) {
	const publishers, members, churners, events = 4, 8, 2, 500
	names := []string{"a", "b", "c", "d"}
	c := NewCore(Config{Framing: textFraming{}, History: 2 * publishers * events, HistoryBytes: 1 << 30, Logger: quiet})
	var drivers, work sync.WaitGroup
	open := func(topics ...string) *runner {
		d := &runner{wakes: make(chan struct{}, 1)}
		d.member = NewMember(d, d, 16)
		if err := c.Open(d.member, "", topics...); err != nil {
			t.Error(err)
		}
		d.member.Start()
		drivers.Go(d.run)
		return d
	}

	var mu sync.Mutex
	log := map[string][]Position{} // what was published, by topic; "" for all
	staying := make([]*runner, members)
	topics := make([][]string, members)
	for i := range members {
		topics[i] = names[:1+i%len(names)]
		staying[i] = open(topics[i]...)
	}
	var over atomic.Bool
	for i := range churners {
		work.Go(func() {
			r := rand.New(rand.NewPCG(uint64(i), 1))
			for !over.Load() {
				d := open(names[r.IntN(len(names))])
				for range 20 {
					name := names[r.IntN(len(names))]
					switch r.IntN(5) {
					case 0:
						if err := c.Join(d.member, name); err != nil && !errors.Is(err, ErrTooManyTopics) {
							t.Error(err)
						}
					case 1:
						c.Leave(d.member, name)
					case 2:
						if err := d.member.Send(privateBody(1)); err != nil && !errors.Is(err, ErrQueueFull) {
							t.Error(err)
						}
					case 3:
						d.member.Heartbeat()
						d.member.Blocked(time.Now().UnixNano() * int64(r.IntN(2)))
					case 4:
						c.Stats()
						c.Followers(name)
					}
				}
				if r.IntN(2) == 0 {
					d.member.Cut(errCut)
				} else {
					d.member.Finish(errCut, nil, true)
				}
			}
		})
	}
	var publishing sync.WaitGroup
	for i := range publishers {
		publishing.Go(func() {
			r := rand.New(rand.NewPCG(uint64(i), 2))
			for n := range events {
				into := []string{names[r.IntN(len(names))], names[r.IntN(len(names))]}
				p, err := c.Publish(context.Background(), eventBody(n, r.IntN(50)), into...)
				if err != nil {
					t.Error(err)
				}
				runtime.Gosched() // or all is published before a reader has run
				mu.Lock()
				for _, name := range slices.Compact(into) {
					log[name] = append(log[name], p)
				}
				mu.Unlock()
			}
		})
	}
	publishing.Wait()
	over.Store(true)
	work.Wait()
	for _, d := range staying {
		d.member.Finish(errCut, nil, true)
	}
	drivers.Wait()
	if err := c.WaitEmpty(t.Context()); err != nil {
		t.Error(err)
	}
	if err := c.Stop(t.Context()); err != nil {
		t.Error(err)
	}

	for i, d := range staying {
		var want []Position
		for _, name := range topics[i] {
			want = append(want, log[name]...)
		}
		slices.Sort(want)
		if want = slices.Compact(want); !slices.Equal(d.seen, want) || d.notice > 0 || len(d.errs) > 0 {
			t.Errorf("member %d of %v saw %d frames and %d notices, want %d; errors %v", i, topics[i], len(d.seen), d.notice, len(want), d.errs)
		}
	}
}
