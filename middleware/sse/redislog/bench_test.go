package redislog

import (
	"context"
	"fmt"
	"math"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/goceleris/celeris/internal/testserver"
	"github.com/goceleris/celeris/middleware/sse"
)

// BenchmarkPublish compares publishers that append to one stream with the same number of goroutines that do one SET per
// event and wait for its answer, both over the same client with its default pool. The two take turns, and of each the best
// round counts, so that what else the machine does weighs little; "ratio" is how many times as many events per second
// were appended as set.
func BenchmarkPublish(b *testing.B) {
	server := testserver.Redis(b)
	for _, publishers := range []int{64, 256} {
		for _, size := range []int{64, 512} {
			b.Run(fmt.Sprintf("publishers=%d/bytes=%d", publishers, size), func(b *testing.B) {
				client := connect(b, server)
				l := open(b, Config{Client: client, Prefix: b.Name()})
				data := strings.Repeat("x", size)
				const each = 100
				appends := func(ctx context.Context, _, _ int) error {
					_, _, err := l.Append(ctx, "bench", sse.Record{Event: sse.Event{Data: data}, Topics: []string{"topic"}})
					return err
				}
				sets := func(ctx context.Context, publisher, n int) error {
					return client.Set(ctx, "bench:"+strconv.Itoa(publisher*each+n), data, time.Minute).Err()
				}
				crowd(b, publishers, each, appends)
				crowd(b, publishers, each, sets)
				appending, setting := time.Duration(math.MaxInt64), time.Duration(math.MaxInt64)
				for b.Loop() {
					appending = min(appending, crowd(b, publishers, each, appends))
					setting = min(setting, crowd(b, publishers, each, sets))
				}
				events := float64(publishers * each)
				b.ReportMetric(0, "ns/op")
				b.ReportMetric(events/appending.Seconds(), "appends/s")
				b.ReportMetric(events/setting.Seconds(), "sets/s")
				b.ReportMetric(setting.Seconds()/appending.Seconds(), "ratio")
			})
		}
	}
}

// crowd has each publisher call f so often, and returns how long that takes.
func crowd(b *testing.B, publishers, each int, f func(ctx context.Context, publisher, n int) error) time.Duration {
	b.Helper()
	start := time.Now()
	var wg sync.WaitGroup
	for p := range publishers {
		wg.Go(func() {
			for n := range each {
				if err := f(b.Context(), p, n); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	return time.Since(start)
}

// BenchmarkSince reads a thousand events.
func BenchmarkSince(b *testing.B) {
	l := open(b, Config{Client: connect(b, testserver.Redis(b))})
	start := fillLog(b, l, "bench", 1000)
	b.ReportAllocs()
	for b.Loop() {
		n := 0
		for _, err := range l.Since(b.Context(), "bench", start) {
			if err != nil {
				b.Fatal(err)
			}
			n++
		}
		if n != 1000 {
			b.Fatalf("Since = %d events, want 1000", n)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*1000), "ns/event")
}

// fillLog appends n events and returns the ID before the first.
func fillLog(t testing.TB, l *Log, stream string, n int) (before string) {
	t.Helper()
	epoch, head, err := l.Open(t.Context(), stream)
	if err != nil {
		t.Fatal(err)
	}
	for i := range n {
		if _, _, err := l.Append(t.Context(), stream, numbered(i)); err != nil {
			t.Fatal(err)
		}
	}
	return sse.FormatID(epoch, head)
}

// numbered returns a record with a number in its data.
func numbered(n int) sse.Record {
	return sse.Record{Event: sse.Event{Data: strconv.Itoa(n)}, Topics: []string{"topic"}}
}
