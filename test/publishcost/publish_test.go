//go:build linux

package publishcost

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/goceleris/celeris"
	"github.com/goceleris/celeris/middleware/sse"
	"github.com/goceleris/celeris/test/loadgen"
)

func TestMain(m *testing.M) {
	if os.Getenv("LOADGEN") != "" {
		if err := loadgen.Serve(os.Stdin, os.Stdout); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

const (
	payload = 64
	// rounds is how often every size is measured, at most; within limit.
	rounds = 200
	limit  = 40 * time.Second
	// allocRounds is how often allocations are counted, with all else held still.
	allocRounds = 10
	// between is how many streams get an event before each publish that is timed.
	between = 100
	// spare is how many files are open besides the streams.
	spare = 200 + between
)

// BenchmarkPublish times nothing but the call of Publish. Before each one every event so far has arrived at every
// client, so that all streams are idle and none is ahead or behind. The sizes take turns within each round: what
// disturbs the machine disturbs all of them. Between any two there is a publish to other streams that isn't timed, so
// that all sizes find the same in the processor's caches. ns/op is the median over all rounds.
func BenchmarkPublish(b *testing.B) {
	if testing.Short() {
		b.Skip("opens thousands of connections")
	}
	sizes := []int{10, 1000, 10_000}
	fitLimit(b, sizes)
	results := measure(b, sizes, rounds)
	for i, size := range sizes {
		b.Run(fmt.Sprintf("subs=%d/bytes=%d", size, payload), func(b *testing.B) {
			for b.Loop() { // measured already
			}
			r := results[i]
			b.ReportMetric(r.quantile(0.5), "ns/op")
			b.ReportMetric(r.quantile(0.1), "p10-ns/op")
			b.ReportMetric(r.quantile(0.9), "p90-ns/op")
			b.ReportMetric(r.allocs, "allocs/op")
			b.ReportMetric(r.bytes, "B/op")
			b.ReportMetric(float64(len(r.times)), "publishes")
			b.ReportMetric(r.quantile(0.5)/results[0].quantile(0.5), "x-smallest")
		})
	}
}

// TestPublish_ReachesEveryStreamOfTheBenchmark keeps the benchmark from rotting.
func TestPublish_ReachesEveryStreamOfTheBenchmark(t *testing.T) {
	for i, r := range measure(t, []int{2, 20}, 5) {
		if len(r.times) != 5 || r.quantile(0.5) <= 0 {
			t.Errorf("size %d: %d samples, median %v ns", i, len(r.times), r.quantile(0.5))
		}
	}
}

// fitLimit makes sizes fit the limit of open files, and says so loudly.
func fitLimit(b *testing.B, sizes []int) {
	b.Helper()
	files, err := loadgen.FileLimit()
	if err != nil {
		b.Fatal(err)
	}
	room := files - spare
	for _, n := range sizes {
		room -= n
	}
	if room >= 0 {
		return
	}
	last := &sizes[len(sizes)-1]
	fewer := *last + room
	if fewer <= 0 {
		b.Fatalf("the limit of open files is %d (ulimit -Hn): too low for this benchmark", files)
	}
	fmt.Printf("\n!!! the limit of open files is %d (ulimit -Hn): %d streams instead of %d\n\n", files, fewer, *last)
	*last = fewer
}

// result is what was measured with one number of streams.
type result struct {
	times         []time.Duration
	allocs, bytes float64 // per publish
}

// quantile returns one of the times, in nanoseconds.
func (r result) quantile(q float64) float64 {
	sorted := slices.Sorted(slices.Values(r.times))
	return float64(sorted[int(q*float64(len(sorted)-1))].Nanoseconds())
}

// crowd is a broker with its streams.
type crowd struct {
	broker    *sse.Broker
	group     loadgen.Group
	size      int
	published int
	samples   result
}

// measure opens streams for all sizes and publishes to each in turn.
func measure(tb testing.TB, sizes []int, rounds int) []result {
	tb.Helper()
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	app := celeris.New(celeris.Config{Logger: slog.New(slog.DiscardHandler)})
	crowds := make([]*crowd, len(sizes)+1)
	for i, size := range append(slices.Clone(sizes), between) {
		broker, err := sse.NewBroker(sse.BrokerConfig{})
		if err != nil {
			tb.Fatal(err)
		}
		crowds[i] = &crowd{broker: broker, size: size}
		app.GET(fmt.Sprintf("/events/%d", i), sse.New(sse.Config{Broker: broker, HeartbeatInterval: time.Hour}))
	}
	serve(tb, app, l, crowds)
	fleet := startFleet(tb)
	for i, c := range crowds {
		if c.group, err = fleet.Connect(l.Addr().String(), fmt.Sprintf("/events/%d", i), c.size); err != nil {
			tb.Fatal(err)
		}
		if n := c.broker.SubscriberCount(""); n != c.size {
			tb.Fatalf("%d subscribers, want %d", n, c.size)
		}
	}

	event := sse.Event{Data: strings.Repeat("x", payload)}
	for range 2 { // the first events make topics, segments and stacks
		for _, c := range crowds {
			c.publish(tb, fleet, event)
		}
	}
	crowds, other := crowds[:len(sizes)], crowds[len(sizes)]
	order := rand.New(rand.NewPCG(1, 2))
	late := time.Now().Add(limit)
	for round := 0; round < rounds && time.Now().Before(late); round++ {
		for _, i := range order.Perm(len(crowds)) { // who comes behind whom changes too
			c := crowds[i]
			other.publish(tb, fleet, event)
			c.samples.times = append(c.samples.times, c.publish(tb, fleet, event))
		}
	}
	for _, c := range crowds {
		c.countAllocs(tb, fleet, event)
	}
	results := make([]result, len(crowds))
	for i, c := range crowds {
		results[i] = c.samples
	}
	return results
}

// publish publishes one event and waits until every client has it. It returns what Publish alone took.
func (c *crowd) publish(tb testing.TB, fleet *loadgen.Fleet, event sse.Event) time.Duration {
	tb.Helper()
	ctx := tb.Context()
	before := time.Now()
	_, err := c.broker.Publish(ctx, event)
	took := time.Since(before)
	if err != nil {
		tb.Fatal(err)
	}
	c.published++
	if err := fleet.Await(c.group, c.published); err != nil {
		tb.Fatal(err)
	}
	return took
}

// countAllocs counts what Publish allocates. With one processor no other goroutine runs between the two readings.
func (c *crowd) countAllocs(tb testing.TB, fleet *loadgen.Fleet, event sse.Event) {
	tb.Helper()
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	var allocs, bytes []uint64
	for range allocRounds {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		_, err := c.broker.Publish(tb.Context(), event)
		runtime.ReadMemStats(&after)
		if err != nil {
			tb.Fatal(err)
		}
		allocs = append(allocs, after.Mallocs-before.Mallocs)
		bytes = append(bytes, after.TotalAlloc-before.TotalAlloc)
		c.published++
		if err := fleet.Await(c.group, c.published); err != nil {
			tb.Fatal(err)
		}
	}
	slices.Sort(allocs)
	slices.Sort(bytes)
	c.samples.allocs, c.samples.bytes = float64(allocs[len(allocs)/2]), float64(bytes[len(bytes)/2])
}

// serve serves app until the test ends.
func serve(tb testing.TB, app *celeris.Server, l net.Listener, crowds []*crowd) {
	tb.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := app.Serve(ctx, l); err != nil && !errors.Is(err, context.DeadlineExceeded) {
			tb.Errorf("serve: %v", err)
		}
	})
	tb.Cleanup(func() {
		cancel()
		wg.Wait()
		for _, c := range crowds {
			if err := c.broker.Close(context.Background()); err != nil {
				tb.Errorf("close broker: %v", err)
			}
		}
	})
}

func startFleet(tb testing.TB) *loadgen.Fleet {
	tb.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), "LOADGEN=1")
	cmd.Stderr = io.Discard
	fleet, err := loadgen.Start(cmd)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := fleet.Close(); err != nil {
			tb.Errorf("close clients: %v", err)
		}
	})
	return fleet
}
