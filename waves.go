package celeris

import (
	"context"
	"time"

	"github.com/goceleris/celeris/engine"
)

const (
	// waveSize is how many streams a shutdown tells at once to end.
	waveSize = 512
	// waveGap is the time between two waves, unless the drain is too short for it.
	waveGap = 50 * time.Millisecond
)

// sayFarewell tells streams to end, in waves: their last bytes, and the clients' way back, are spread over time. Half of
// what is left of ctx is enough for all waves.
func sayFarewell(ctx context.Context, streams []engine.Stream) {
	gap := waveGap
	if end, ok := ctx.Deadline(); ok {
		gap = min(gap, time.Until(end)/2/time.Duration(len(streams)/waveSize+1))
	}
	for {
		n := min(waveSize, len(streams))
		for _, stream := range streams[:n] {
			stream.Drain(engine.ErrShutdown)
		}
		if streams = streams[n:]; len(streams) == 0 {
			return
		}
		select {
		case <-time.After(gap):
		case <-ctx.Done():
			gap = 0 // whoever is left is told all the same
		}
	}
}
