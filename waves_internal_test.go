package celeris

import (
	"context"
	"errors"
	"log/slog"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"github.com/goceleris/celeris/engine"
)

// told is a stream that notes when it was told to end.
type told struct {
	at     time.Time
	reason error
}

func (s *told) Drain(reason error)    { s.at, s.reason = time.Now(), reason }
func (s *told) Cut(error)             {}
func (s *told) Done() <-chan struct{} { return nil }

func TestSayFarewell_TellsAllInWaves(t *testing.T) {
	for name, c := range map[string]struct {
		n     int
		limit time.Duration // none if zero
		waves int
		took  time.Duration
	}{
		"none":           {0, time.Second, 0, 0},
		"one wave":       {waveSize, time.Second, 1, 0},
		"one more":       {waveSize + 1, time.Second, 2, waveGap},
		"many":           {10 * waveSize, 10 * time.Second, 10, 9 * waveGap},
		"no deadline":    {3 * waveSize, 0, 3, 2 * waveGap},
		"little time":    {10 * waveSize, 110 * time.Millisecond, 10, 45 * time.Millisecond},
		"no time at all": {3 * waveSize, time.Nanosecond, 1, 0},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx := t.Context()
				if c.limit > 0 {
					var cancel context.CancelFunc
					ctx, cancel = context.WithTimeout(ctx, c.limit)
					defer cancel()
				}
				streams := make([]engine.Stream, c.n)
				for i := range streams {
					streams[i] = &told{}
				}
				begin := time.Now()
				sayFarewell(ctx, streams)
				if took := time.Since(begin); took != c.took {
					t.Errorf("took %v, want %v", took, c.took)
				}
				at := make(map[time.Time]int)
				for _, s := range streams {
					if s := s.(*told); !errors.Is(s.reason, engine.ErrShutdown) {
						t.Fatalf("a stream was told %v", s.reason)
					} else if at[s.at]++; c.waves > 1 && at[s.at] > waveSize {
						t.Fatalf("more than %d streams at once", waveSize)
					}
				}
				if len(at) != c.waves {
					t.Errorf("%d waves, want %d", len(at), c.waves)
				}
			})
		})
	}
}

// leaving is a stream that ends when it is told to.
type leaving struct {
	told
	host interface{ Remove(engine.Stream) }
}

func (s *leaving) Drain(reason error) {
	s.told.Drain(reason)
	s.host.Remove(s)
}

func TestShutdown_TellsAllInHalfOfItsTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		app := New(Config{DrainTimeout: time.Second, Logger: slog.New(slog.DiscardHandler)})
		streams := make([]*leaving, 60*waveSize)
		for i := range streams {
			streams[i] = &leaving{host: &app.host}
			if err := app.host.Add(streams[i], netip.Addr{}); err != nil {
				t.Fatal(err)
			}
		}
		begin := time.Now()
		if err := app.Shutdown(context.Background()); err != nil {
			t.Errorf("Shutdown = %v, want nil", err)
		}
		for _, s := range streams {
			if after := s.at.Sub(begin); after > time.Second/2 {
				t.Fatalf("a stream was told after %v of 1s", after)
			}
		}
	})
}
