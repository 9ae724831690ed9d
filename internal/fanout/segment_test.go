package fanout

import (
	"fmt"
	"regexp"
	"testing"
)

func TestLog_GrowsBySegments(t *testing.T) {
	c := newTestCore(t, Config{History: 1 << 20})
	p := open(t, c, "", "a")
	body := eventBody(1, 1000)
	const frames = 1500
	for range frames {
		if _, err := c.Publish(t.Context(), body, "a"); err != nil {
			t.Fatal(err)
		}
	}
	segs := c.topics["a"].view.Load().segs
	size, frame := 2*minSegment, uint64(0) // a frame of 1 KB and its stamp don't fit the smallest
	for i, s := range segs {
		if len(s.buf) != size {
			t.Errorf("segment %d has %d bytes, want %d", i, len(s.buf), size)
		}
		if s.used > len(s.buf) || s.n.Load() == 0 {
			t.Errorf("segment %d: %d of %d bytes used, %d frames", i, s.used, len(s.buf), s.n.Load())
		}
		frame += uint64(s.n.Load())
		size = min(2*size, maxSegment)
	}
	if frame != frames {
		t.Errorf("segments hold %d frames, want %d", frame, frames)
	}
	got := 0
	for st := More; st == More; {
		var bufs [][]byte
		bufs, st = p.Next(nil, 10_000)
		for _, b := range bufs {
			got += len(b)
		}
	}
	want := 0
	for i := range frames {
		want += len(body) + len(fmt.Sprintf("id: %s-%d\n", c.Epoch(), i+1))
	}
	if got != want {
		t.Errorf("read %d bytes, want %d", got, want)
	}
}

func TestLog_KeepsALargeFrameAloneAndOnce(t *testing.T) {
	c := newTestCore(t, Config{})
	p := open(t, c, "", "a", "b")
	publish(t, c, 1, "a")
	if _, err := c.Publish(t.Context(), eventBody(2, AloneAbove), "a", "b"); err != nil {
		t.Fatal(err)
	}
	publish(t, c, 3, "a")
	a, b := c.topics["a"].view.Load().segs, c.topics["b"].view.Load().segs
	if len(a) != 3 || len(b) != 1 {
		t.Fatalf("%d and %d segments, want 3 and 1", len(a), len(b))
	}
	if &a[1].buf[0] != &b[0].buf[0] {
		t.Error("each topic has a copy of its own")
	}
	if n := a[1].n.Load(); n != 1 {
		t.Errorf("its segment holds %d frames, want 1", n)
	}
	p.expect(t, "e1@1 e2@2 e3@3")
}

func TestParseID(t *testing.T) {
	for id, want := range map[string]struct {
		epoch string
		pos   Position
		ok    bool
	}{
		"abc-0":                     {"abc", 0, true},
		"abc-17":                    {"abc", 17, true},
		"a-b-17":                    {"a-b", 17, true},
		"abc-18446744073709551615":  {"abc", 1<<64 - 1, true},
		"abc-18446744073709551616":  {},
		"abc-017":                   {},
		"abc-+17":                   {},
		"abc--17":                   {"abc-", 17, true},
		"abc-1 ":                    {},
		"abc- 1":                    {},
		"abc-0x1":                   {},
		"abc-1_0":                   {},
		"abc-":                      {},
		"-17":                       {},
		"17":                        {},
		"":                          {},
		"abc-184467440737095516150": {},
	} {
		epoch, pos, ok := ParseID(id)
		if ok != want.ok || (ok && (epoch != want.epoch || pos != want.pos)) {
			t.Errorf("ParseID(%q) = %q, %d, %v; want %v", id, epoch, pos, ok, want)
		}
	}
}

func FuzzParseID(f *testing.F) {
	f.Add("abc-17")
	f.Add("abc-017")
	f.Fuzz(func(t *testing.T, id string) {
		epoch, pos, ok := ParseID(id)
		if got := string(AppendID(nil, epoch, pos)); ok && got != id {
			t.Errorf("ParseID(%q) = %q, %d, which is %q", id, epoch, pos, got)
		}
	})
}

func TestNewEpoch(t *testing.T) {
	a, b := NewEpoch(), NewEpoch()
	if !regexp.MustCompile(`^[a-z2-7]{8}$`).MatchString(a) || a == b {
		t.Errorf("NewEpoch() = %q, then %q", a, b)
	}
}
