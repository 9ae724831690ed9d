package main

import (
	"maps"
	"sync"
	"time"
)

const (
	tabRate, tabBurst = 12, 24 // strokes per second of one tab, and at once
	// allRate keeps what is painted while the page's charts fill, a minute, within the broker's history.
	allRate, allBurst = 30, 60
	// maxTabs bounds how many tabs are told apart.
	maxTabs = 1024
)

// limiter holds each tab, and all of them together, to a rate. Any goroutine may use it.
type limiter struct {
	mu   sync.Mutex
	all  bucket
	tabs map[string]bucket // those that are not full
}

func newLimiter() *limiter {
	return &limiter{tabs: make(map[string]bucket)}
}

// take counts one stroke of a tab and returns 0, or counts nothing and returns when to try again.
func (l *limiter) take(tab string, now time.Time) (wait time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	mine, known := l.tabs[tab]
	if !known && len(l.tabs) >= maxTabs {
		maps.DeleteFunc(l.tabs, func(_ string, b bucket) bool { return b.wait(now, tabRate, tabBurst, tabBurst) == 0 })
		if len(l.tabs) >= maxTabs {
			return time.Second
		}
	}
	if wait := max(mine.wait(now, tabRate, tabBurst, 1), l.all.wait(now, allRate, allBurst, 1)); wait > 0 {
		return wait
	}
	l.all = l.all.take(now, allRate, allBurst)
	l.tabs[tab] = mine.take(now, tabRate, tabBurst)
	return 0
}

// bucket holds tokens that come at a rate per second, up to a burst. The zero value is a full one.
type bucket struct {
	left float64
	at   time.Time // when it held left
}

func (b bucket) level(now time.Time, rate, burst float64) float64 {
	if b.at.IsZero() {
		return burst
	}
	return min(b.left+now.Sub(b.at).Seconds()*rate, burst)
}

// wait returns when there will be n tokens.
func (b bucket) wait(now time.Time, rate, burst, n float64) time.Duration {
	return time.Duration(max(n-b.level(now, rate, burst), 0) / rate * float64(time.Second))
}

func (b bucket) take(now time.Time, rate, burst float64) bucket {
	return bucket{b.level(now, rate, burst) - 1, now}
}
