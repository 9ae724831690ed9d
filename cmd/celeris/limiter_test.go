package main

import (
	"strconv"
	"testing"
	"time"
)

func TestLimiter(t *testing.T) {
	l, now := newLimiter(), time.Now()
	burst := func(tab string) (n int) {
		for l.take(tab, now) == 0 {
			n++
		}
		return n
	}
	if got := burst("a"); got != tabBurst {
		t.Errorf("a tab painted %d strokes at once, want %d", got, tabBurst)
	}
	if wait := l.take("a", now); wait <= 0 || wait > time.Second/tabRate {
		t.Errorf("the next stroke is to wait %v, want a %dth of a second", wait, tabRate)
	}
	burst("b")
	if got := burst("c"); got != allBurst-2*tabBurst {
		t.Errorf("the third tab painted %d strokes, want %d", got, allBurst-2*tabBurst)
	}
	now = now.Add(time.Second)
	if got := burst("a"); got != tabRate {
		t.Errorf("a second later a tab painted %d strokes, want %d", got, tabRate)
	}
	now = now.Add(time.Hour)
	if got := burst("a"); got != tabBurst {
		t.Errorf("an hour later a tab painted %d strokes, want %d", got, tabBurst)
	}
}

func TestLimiter_IsBounded(t *testing.T) {
	l, now := newLimiter(), time.Now()
	for i := range maxTabs {
		l.tabs[strconv.Itoa(i)] = bucket{0, now}
	}
	if l.take("another", now) == 0 || len(l.tabs) > maxTabs {
		t.Errorf("a tab too many was let in: %d", len(l.tabs))
	}
	now = now.Add(time.Minute)
	if l.take("another", now) != 0 || len(l.tabs) != 1 {
		t.Errorf("after a minute of rest %d tabs are remembered, want the new one only", len(l.tabs))
	}
}
