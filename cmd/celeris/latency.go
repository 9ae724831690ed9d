package main

import (
	"slices"
	"sync"
	"time"
)

// latencyWindow is how many of the newest latencies count.
const latencyWindow = 1024

// latencies keeps the newest latencies. The zero value is ready; any goroutine may use it.
type latencies struct {
	mu   sync.Mutex
	ring []time.Duration // at most latencyWindow
	next int             // the oldest, once the ring is full
}

// latencyStats is what latencies amount to, zero if there are none.
type latencyStats struct {
	Count int     `json:"count"`
	P50MS float64 `json:"p50_ms"`
	P99MS float64 `json:"p99_ms"`
}

func (l *latencies) add(d time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.ring) < latencyWindow {
		l.ring = append(l.ring, d)
		return
	}
	l.ring[l.next] = d
	l.next = (l.next + 1) % latencyWindow
}

// stats sorts a copy: it is called once a second.
func (l *latencies) stats() latencyStats {
	l.mu.Lock()
	sorted := slices.Clone(l.ring)
	l.mu.Unlock()
	if len(sorted) == 0 {
		return latencyStats{}
	}
	slices.Sort(sorted)
	return latencyStats{Count: len(sorted), P50MS: rank(sorted, 50), P99MS: rank(sorted, 99)}
}

// rank returns the nearest-rank percentile in milliseconds.
func rank(sorted []time.Duration, percent int) float64 {
	i := max((len(sorted)*percent+99)/100, 1) - 1
	return round(float64(sorted[i])/float64(time.Millisecond), 3)
}
