// Package ratelog bounds how often a log line is written that a crowd could cause: one line in each interval, which
// tells how many were left out before it.
package ratelog

import (
	"sync"
	"time"
)

// Limiter decides for lines of one kind. Its methods may be called from any goroutine. The zero value lets every line
// through.
type Limiter struct {
	interval time.Duration

	mu        sync.Mutex // guards what follows
	open      bool       // a line was written
	last      time.Time  // when the last one was
	swallowed int        // since then
}

// New returns a limiter that lets the first line through, and after each line none for an interval.
func New(interval time.Duration) *Limiter { return &Limiter{interval: interval} }

// Allow reports whether a line may be written at now. With ok, swallowed is how many were not since the last one that
// was. What is swallowed after the last line is never told.
func (l *Limiter) Allow(now time.Time) (swallowed int, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.open && now.Sub(l.last) < l.interval {
		l.swallowed++
		return 0, false
	}
	swallowed, l.swallowed = l.swallowed, 0
	l.open, l.last = true, now
	return swallowed, true
}
