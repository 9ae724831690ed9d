package main

import (
	"context"
	"sync"
	"time"

	"github.com/goceleris/celeris/middleware/sse"
)

// header begins every payload. N counts the events of one run without a hole, whatever their topic: a
// page judges by it what it missed and what came twice, so its verdict owes nothing to event ids.
type header struct {
	N   uint64 `json:"n"`
	Run string `json:"run"`
	T   int64  `json:"t"` // Unix time in milliseconds, from a clock that never steps back
}

// feed numbers what is published to the pages. Any goroutine may use it.
type feed struct {
	broker  *sse.Broker
	run     string // tells the counters of this process from those of another
	started time.Time

	// mu guards n. It is held while an event is published, so that the order of the numbers is that of the
	// log; publishing waits for no reader.
	mu sync.Mutex
	n  uint64
}

// send publishes what payload makes of the next header, under the name of its topic. An event that was not
// published takes no number: it would look like one that got lost.
func (f *feed) send(ctx context.Context, topic string, payload func(header) any) (*sse.PreparedEvent, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	h := header{N: f.n + 1, Run: f.run, T: f.started.Add(time.Since(f.started)).UnixMilli()}
	event, err := publish(ctx, f.broker, topic, payload(h))
	if err == nil {
		f.n++
	}
	return event, err
}
