package redislog

import (
	"math"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/goceleris/celeris/middleware/sse"
)

var someRecords = []sse.Record{
	{},
	{Hole: true},
	{Event: sse.Event{Data: "data"}, Topics: []string{"a", "", "a"}},
	{Event: sse.Event{Event: "type", Key: "key\x00", Data: strings.Repeat("long\r\n", 100), Retry: math.MaxInt64}},
	{Event: sse.Event{Retry: -time.Nanosecond}, Topics: []string{strings.Repeat("t", 200)}},
}

func TestEntry_RecordsComeBack(t *testing.T) {
	var stored []byte
	for _, r := range someRecords {
		stored = appendRecord(stored, r)
	}
	e := entry{position: 104, first: 100, stored: string(stored)}
	next := uint64(100)
	for position, r := range e.records() {
		if position != next || !reflect.DeepEqual(r, someRecords[position-100]) {
			t.Errorf("record %d = %+v, want record %d, %+v", position, r, next, someRecords[next-100])
		}
		next++
	}
	if next != 105 {
		t.Errorf("the last position is %d, want 104", next-1)
	}
}

// TestEntry_DamageIsAHole changes every byte of an entry and cuts it everywhere.
func TestEntry_DamageIsAHole(t *testing.T) {
	var stored []byte
	for _, r := range someRecords[2:] {
		stored = appendRecord(stored, r)
	}
	check := func(what string, at int, damaged []byte) {
		var positions []uint64
		holes := 0
		for position, r := range (entry{position: 12, first: 10, stored: string(damaged)}).records() {
			positions = append(positions, position)
			if r.Hole {
				holes++
			} else if !reflect.DeepEqual(r, someRecords[position-8]) {
				t.Errorf("%s %d: record %d = %+v, want the original or a hole", what, at, position, r)
			}
		}
		if holes == 0 || !slices.IsSorted(positions) || len(positions) == 0 || positions[len(positions)-1] != 12 {
			t.Errorf("%s %d: %d holes at positions %d, want a hole, and 12 as the last", what, at, holes, positions)
		}
	}
	for i := range stored {
		damaged := slices.Clone(stored)
		damaged[i] ^= 0x10
		check("byte", i, damaged)
		check("cut at", i, stored[:i])
	}
	check("something behind", 0, append(slices.Clone(stored), 0))
}

func FuzzDecode(f *testing.F) {
	for _, r := range someRecords {
		d := decoder{rest: string(appendRecord(nil, r))}
		f.Add(d.text())
	}
	f.Fuzz(func(t *testing.T, stored string) {
		r, err := decode(stored)
		if err != nil {
			return
		}
		d := decoder{rest: string(appendRecord(nil, r))}
		if again, err := decode(d.text()); err != nil || !reflect.DeepEqual(again, r) {
			t.Errorf("%+v comes back as %+v, %v", r, again, err)
		}
	})
}

func TestPosition_KeepsTheOrder(t *testing.T) {
	ids := []string{"0-0", "0-1", "0-1048575", "1-0", "1700000000000-7", "1700000000000-8", "17592186044415-1048575"}
	var last uint64
	for i, id := range ids {
		p, ok := parsePosition(id)
		if !ok || i > 0 && p <= last {
			t.Errorf("position of %s = %d, %t, want one above %d", id, p, ok, last)
		}
		if got := streamID(p); got != id {
			t.Errorf("streamID(%d) = %s, want %s", p, got, id)
		}
		last = p
	}
	if last != math.MaxUint64 {
		t.Errorf("the last position is %d, want the largest", last)
	}
	for _, id := range []string{"", "-", "1", "1-", "-1", "1-1048576", "17592186044416-0", "a-b", "1-1-1", "+1-1"} {
		if p, ok := parsePosition(id); ok {
			t.Errorf("position of %q = %d, want none", id, p)
		}
	}
}
