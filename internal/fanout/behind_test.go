package fanout

import (
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
)

// behind lists how far the members of a core are behind, the nearest first; -1 stands for what can't be counted.
func behind(c *Core) string {
	var all []int
	for n, known := range c.Behind() {
		if !known {
			n = -1
		}
		all = append(all, n)
	}
	slices.Sort(all)
	return fmt.Sprint(all)
}

func TestBehind_CountsWhatIsDueAndWhatIsLost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newTestCore(t, Config{SubscriberBuffer: 3, History: 3})
		want := func(what, want string) {
			t.Helper()
			if got := behind(c); got != want {
				t.Errorf("%s: got %s, want %s", what, got, want)
			}
		}
		a := open(t, c, "", "a", "b")
		a.expect(t, "")
		publish(t, c, 1, "a", "b") // one event
		publish(t, c, 2, "x")      // a position, but nothing for the member
		publish(t, c, 3, "b")
		want("two topics", "[2]")
		send(t, a, 1)
		want("private frames are no events", "[2]")
		b := open(t, c, "", "a")
		b.refuse()
		want("who comes at the head", "[0 2]")
		a.take()
		want("all was taken", "[0 0]")

		b.Blocked(0)
		b.take()
		b.refuse()
		for n := range 5 {
			publish(t, c, n, "a")
			synctest.Wait()
		}
		want("dropped, and not told yet", "[5 5]")
		a.take()
		b.Blocked(0)
		b.take()
		want("it was told", "[0 0]")

		for n := range 200 {
			publish(t, c, n, "b")
		}
		want("what is due has left the history", "[-1 0]")
		a.End(nil)
		want("who left", "[0]")
	})
}

func TestBehind_StopsWithItsLoop(t *testing.T) {
	c := newTestCore(t, Config{})
	for range 3 {
		open(t, c, "", "a")
	}
	n := 0
	for range c.Behind() {
		n++
		break
	}
	if n != 1 {
		t.Errorf("yielded %d times behind a break", n)
	}
}

// BenchmarkBehind is what a look at the lag of all members costs.
func BenchmarkBehind(b *testing.B) {
	for _, members := range []int{1000, 100_000} {
		b.Run(fmt.Sprintf("members=%d", members), func(b *testing.B) {
			c := benchCore(b, Config{})
			for range members {
				if err := c.Open(NewMember(sleeper{}, sleeper{}, 1), "", "a", "b"); err != nil {
					b.Fatal(err)
				}
			}
			for range 100 {
				if _, err := c.Publish(canceled(b), eventBody(1, 50), "a"); err != nil {
					b.Fatal(err)
				}
			}
			b.Run("Members", func(b *testing.B) { // what is done under the lock of the core
				for b.Loop() {
					c.Members()
				}
			})
			b.Run("Behind", func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					for n, known := range c.Behind() {
						if n != 100 || !known {
							b.Fatal(n, known)
						}
					}
				}
			})
		})
	}
}
