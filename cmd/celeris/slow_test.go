package main

import (
	"context"
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/goceleris/celeris/internal/leak"
)

// quickPlan makes a reader slow within moments: 1 MB/s to one that takes 50 KB/s.
var quickPlan = plan{
	every: 4 * time.Millisecond, size: 4000, settle: 200 * time.Millisecond,
	gulp: 1 << 10, pause: 20 * time.Millisecond, lasts: time.Minute,
}

func turn(t *testing.T, url string, on bool) (s slowStats) {
	t.Helper()
	body, _ := json.Marshal(map[string]bool{"on": on})
	status, _, answer := post(t, url+"/slow", string(body))
	if err := json.Unmarshal([]byte(answer), &s); err != nil || status != http.StatusOK {
		t.Fatalf("POST /slow: status %d, %q", status, answer)
	}
	return s
}

// slowUntil returns the first statistics in the demo's stream that are as wanted.
func slowUntil(t *testing.T, url, what string, ok func(slowStats) bool) (s slowStats) {
	t.Helper()
	stream := openEvents(t, url+"/events", "")
	defer stream.close()
	for end := time.Now().Add(patience); time.Now().Before(end); {
		b, _ := stream.payload()
		if b == nil || b["event"] != "stats" {
			continue
		}
		var e statsEvent
		if err := json.Unmarshal([]byte(b["data"]), &e); err != nil {
			t.Fatal(err)
		}
		if s = e.Slow; ok(s) {
			return s
		}
	}
	t.Fatalf("no statistics show %s; the last are %+v", what, s)
	return s
}

func TestSlow_FallsBehindAloneAndIsTold(t *testing.T) {
	leak.Check(t)
	url := startDemoWith(t, quickPlan)
	if got := turn(t, url, true); got.Phase != phaseBefore {
		t.Errorf("phase %q, want everyone else to be measured first", got.Phase)
	}
	s := slowUntil(t, url, "a slow reader that was moved on and told", func(s slowStats) bool { return s.Resyncs > 0 })
	if s.Phase != phaseSlow || s.Skipped < s.Resyncs || s.Dropped == 0 || s.Read == 0 || s.EndsIn <= 0 {
		t.Errorf("%+v, want a reader that was skipped at least as often as it knows, and events left out", s)
	}
	if s.BehindEvents == 0 || s.BehindBytes != s.BehindEvents*uint64(quickPlan.size) || s.BehindMS <= 0 {
		t.Errorf("it is behind %d events, %d bytes, %v ms", s.BehindEvents, s.BehindBytes, s.BehindMS)
	}
	for name, l := range map[string]latencyStats{"before": s.Before, "with": s.With} {
		if l.Count < 10 || l.P50MS <= 0 || l.P99MS < l.P50MS || l.P99MS > 5000 {
			t.Errorf("everyone else %s: %+v", name, l)
		}
	}
	if got := turn(t, url, true); got.Published < s.Published {
		t.Errorf("turning it on twice began anew: %d events of load, after %d", got.Published, s.Published)
	}
	if got := turn(t, url, false); got != (slowStats{Phase: phaseOff}) {
		t.Errorf("off, it says %+v", got)
	}
}

func TestSlow_LeavesNothingWhenItIsOff(t *testing.T) {
	url := startDemoWith(t, quickPlan)
	turn(t, url, false)
	http.DefaultClient.CloseIdleConnections()
	before := leak.Running()
	for range 2 {
		turn(t, url, true)
		slowUntil(t, url, "a slow reader that is behind", func(s slowStats) bool { return s.BehindEvents > 0 && s.With.Count > 0 })
		turn(t, url, false)
	}
	http.DefaultClient.CloseIdleConnections()
	if left := leak.Left(before, patience); len(left) > 0 {
		t.Errorf("%d goroutines were left behind:\n\n%s", len(left), strings.Join(left, "\n\n"))
	}
}

func TestSlow_EndsByItself(t *testing.T) {
	brief := quickPlan
	brief.lasts = 100 * time.Millisecond
	url := startDemoWith(t, brief)
	turn(t, url, true)
	slowUntil(t, url, "the switch off", func(s slowStats) bool { return s.Phase == phaseOff })
	if got := turn(t, url, true); got.Phase != phaseBefore {
		t.Errorf("phase %q: it can't be turned on again", got.Phase)
	}
}

// The slow reader must not hold up the end of the demo, which the cleanup of startDemo waits for.
func TestSlow_EndsWithTheDemo(t *testing.T) {
	leak.Check(t)
	url := startDemoWith(t, quickPlan)
	turn(t, url, true)
	slowUntil(t, url, "a slow reader that was moved on", func(s slowStats) bool { return s.Skipped > 0 })
}

func TestSlow_StaysOffAtTheEnd(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	s := &slowSwitch{life: ctx, plan: quickPlan}
	s.turn(true)
	if got := s.stats(); got.Phase != phaseOff {
		t.Errorf("phase %q after the end of the demo", got.Phase)
	}
}
