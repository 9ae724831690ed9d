package main

import (
	"testing"
	"time"
)

func TestLatencies(t *testing.T) {
	var l latencies
	if got := l.stats(); got != (latencyStats{}) {
		t.Errorf("none: %+v", got)
	}
	l.add(1500 * time.Microsecond)
	if got, want := l.stats(), (latencyStats{1, 1.5, 1.5}); got != want {
		t.Errorf("one: %+v, want %+v", got, want)
	}
	l = latencies{}
	for i := 100; i > 0; i-- {
		l.add(time.Duration(i) * time.Millisecond)
	}
	if got, want := l.stats(), (latencyStats{100, 50, 99}); got != want {
		t.Errorf("1 to 100 ms: %+v, want %+v", got, want)
	}
	for range latencyWindow {
		l.add(time.Millisecond)
	}
	if got, want := l.stats(), (latencyStats{latencyWindow, 1, 1}); got != want {
		t.Errorf("after a window of 1 ms: %+v, want %+v: old ones still count", got, want)
	}
}
