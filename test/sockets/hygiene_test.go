//go:build linux

package sockets

import (
	"context"
	"math/rand/v2"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/goceleris/celeris"
	"github.com/goceleris/celeris/middleware/sse"
)

// The number of a closed descriptor is given out again at once. Every connection has a topic and a token of its own: a
// byte that was meant for its predecessor would show.
func TestDescriptors_NeverCarryWhatWasMeantForTheirPredecessors(t *testing.T) {
	const workers = 24
	over(t, plain, func(t *testing.T, w way) {
		visits := 40
		if testing.Short() {
			visits = 15
		}
		s := w.serve(t, options{
			events: sse.BrokerConfig{MaxTopics: 200},
			stream: sse.Config{Topics: func(c *celeris.Context) ([]string, error) { return []string{c.Query("token"), "all"}, nil }},
		})
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		var tokens [workers]atomic.Pointer[string]
		var publishing, visiting sync.WaitGroup
		for p := range 3 {
			publishing.Go(func() {
				for n := p; ctx.Err() == nil; n++ {
					to := "all"
					if token := tokens[n%workers].Load(); token != nil && n%8 > 0 {
						to = *token
					}
					_, err := s.broker.Publish(ctx, sse.Event{Data: to + " " + strings.Repeat("x", n%2000)}, to)
					if err != nil && ctx.Err() == nil {
						t.Error(err)
						return
					}
				}
			})
		}
		var got atomic.Int64
		for i := range workers {
			visiting.Go(func() {
				rng := rand.New(rand.NewPCG(uint64(i), 1))
				for n := range visits {
					token := "t" + strconv.Itoa(i) + "-" + strconv.Itoa(n)
					tokens[i].Store(&token)
					c, err := s.dial(ctx, ask{query: "?token=" + token})
					if err != nil {
						t.Error(err)
						return
					}
					for want := 2 + rng.IntN(6); want > 0; {
						if _, err := c.read(4 << 10); err != nil {
							t.Errorf("%s: %v", token, err)
							return
						}
						for _, b := range c.queue {
							whose, _, _ := strings.Cut(b.data, " ")
							switch {
							case whose == token || whose == "all":
								want--
								got.Add(1)
							case b.data != "" && b.event == "" || b.event != "" && b.event != "resync":
								t.Errorf("%s got an event of %q", token, whose)
							}
						}
						c.queue = c.queue[:0]
					}
					if rng.IntN(2) == 0 {
						c.reset()
					} else {
						c.close()
					}
				}
			})
		}
		visiting.Wait()
		cancel()
		publishing.Wait()
		if n := got.Load(); n < workers*int64(visits)*2 && !t.Failed() {
			t.Errorf("%d events: this shows too little", n)
		}
	})
}
