package fanout

import (
	"math/rand/v2"
	"strconv"
	"testing"
	"testing/synctest"
)

// keyed publishes an event with a key.
func keyed(t *testing.T, c *Core, key int, topics ...string) {
	t.Helper()
	if _, err := c.PublishKeyed(canceled(t), strconv.Itoa(key), eventBody(1, 0), topics...); err != nil {
		t.Fatal(err)
	}
}

func TestLatest_IsCountedAgainOnlyWhenTooMuchMayBeLeft(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newTestCore(t, Config{SubscriberBuffer: 10, History: 1000})
		m := open(t, c, "", "a")
		looks := 0
		for n := range 100 {
			keyed(t, c, n%4, "a")
			m.mu.Lock()
			before := m.left
			if !m.conflates(c.Head()) {
				t.Errorf("too much is left at %d: %+v", c.Head(), m.left)
			}
			if m.left != before {
				looks++
			}
			m.mu.Unlock()
		}
		// The second is at 11, and finds 4, so that 6 more are within the limit in any case.
		if want := 2 + (100-11)/7; looks != want {
			t.Errorf("looked %d times, want %d", looks, want)
		}
	})
}

func TestLatest_IsWithinItsLimitsWheneverAFullCountSaysSo(t *testing.T) {
	seen := map[bool]int{}
	for seed := range uint64(200) {
		synctest.Test(t, func(t *testing.T) {
			r := rand.New(rand.NewPCG(seed, 1))
			c := newTestCore(t, Config{SubscriberBuffer: 6, MaxLagBytes: 700, History: 1000})
			m := open(t, c, "", "a", "b")
			m.latest = true
			var few [8][]byte
			for range 80 {
				switch r.IntN(12) {
				case 0:
					m.Next(few[:0], 1)
				case 1:
					if err := c.Join(m.Member, "c"); err != nil {
						t.Fatal(err)
					}
				case 2:
					c.Leave(m.Member, []string{"a", "b", "c"}[r.IntN(3)])
				case 3:
					if err := c.Join(m.Member, "a"); err != nil {
						t.Fatal(err)
					}
				default:
					keyed(t, c, r.IntN(5), [][]string{{"a"}, {"b"}, {"c"}, {"a", "b"}, {"b", "c"}}[r.IntN(5)]...)
				}
				if r.IntN(3) > 0 {
					continue
				}
				m.mu.Lock()
				m.latest = true
				got, full := m.conflates(c.Head()), m.conflated(c.Head())
				if want := m.within(full.frames, full.bytes); got != want {
					t.Fatalf("seed %d: conflates = %v at %d, but %d frames of %d bytes are left", seed, got, c.Head(), full.frames, full.bytes)
				}
				seen[got]++
				m.mu.Unlock()
			}
		})
	}
	if seen[true] == 0 || seen[false] == 0 {
		t.Errorf("%v: the schedules show one answer only", seen)
	}
}
