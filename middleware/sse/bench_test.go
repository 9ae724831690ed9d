package sse_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/goceleris/celeris/middleware/sse"
)

func BenchmarkEventAppendTo(b *testing.B) {
	for _, size := range []int{64, 1024, 16384} {
		text := strings.Repeat("x", size)
		lines := strings.Repeat(strings.Repeat("x", 63)+"\n", size/64)
		for _, row := range []struct {
			name string
			e    sse.Event
		}{
			{"line", sse.Event{Event: "tick", Data: text}},
			{"lines", sse.Event{Event: "tick", Data: lines}},
		} {
			b.Run(fmt.Sprintf("data=%s/bytes=%d", row.name, size), func(b *testing.B) {
				b.ReportAllocs()
				b.SetBytes(int64(size))
				var buf []byte
				for b.Loop() {
					var err error
					if buf, err = row.e.AppendTo(buf[:0]); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}

// Streams that are open are measured in test/publishcost.
func BenchmarkBrokerPublish(b *testing.B) {
	for _, size := range []int{64, 1024} {
		for _, topics := range []int{1, 4} {
			b.Run(fmt.Sprintf("subs=0/topics=%d/bytes=%d", topics, size), func(b *testing.B) {
				broker, err := sse.NewBroker(sse.BrokerConfig{})
				if err != nil {
					b.Fatal(err)
				}
				defer broker.Close(b.Context())
				names := []string{"a", "b", "c", "d"}[:topics]
				e := sse.Event{Data: strings.Repeat("x", size)}
				b.ReportAllocs()
				for b.Loop() {
					if _, err := broker.Publish(b.Context(), e, names...); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}

// nowhere is a response that takes everything at once.
type nowhere struct{ header http.Header }

func (w nowhere) Header() http.Header       { return w.header }
func (nowhere) WriteHeader(int)             {}
func (nowhere) Write(p []byte) (int, error) { return len(p), nil }
func (nowhere) Flush()                      {}

// BenchmarkClientSend is the rate of one sender to one stream whose connection takes everything: Send waits for room in
// the queue, so that what is not delivered doesn't count.
func BenchmarkClientSend(b *testing.B) {
	for _, size := range []int{64, 1024} {
		b.Run(fmt.Sprintf("bytes=%d", size), func(b *testing.B) {
			e := sse.Event{Event: "tick", Data: strings.Repeat("x", size)}
			b.ReportAllocs()
			stream := sse.New(sse.Config{Handler: func(c *sse.Client) {
				for b.Loop() {
					if err := c.Send(e); err != nil {
						b.Error(err)
						return
					}
				}
			}})
			stream.ServeHTTP(nowhere{make(http.Header)}, httptest.NewRequestWithContext(b.Context(), http.MethodGet, "/", nil))
		})
	}
}
