package main

import (
	"context"
	"net/http"
	"os"
	"runtime"
	"time"

	"github.com/shirou/gopsutil/v4/process"

	"github.com/goceleris/celeris"
	"github.com/goceleris/celeris/middleware/sse"
)

// stats is what the demo tells about itself: on GET /stats and, every second, in its own stream.
type stats struct {
	Server  celeris.Stats   `json:"server"`
	Broker  sse.BrokerStats `json:"broker"`
	Process processStats    `json:"process"`
	Slow    slowStats       `json:"slow"`
}

type processStats struct {
	PID           int     `json:"pid"`
	GoVersion     string  `json:"go_version"`
	System        string  `json:"system"` // operating system and architecture
	UptimeSeconds float64 `json:"uptime_seconds"`
	Goroutines    int     `json:"goroutines"`
	Procs         int     `json:"procs"`      // GOMAXPROCS
	HeapBytes     uint64  `json:"heap_bytes"` // live and not yet swept objects
	RSSBytes      uint64  `json:"rss_bytes,omitempty"`
}

// stats returns the present statistics. Any goroutine may call it.
func (d *demo) stats(ctx context.Context) stats {
	var heap runtime.MemStats
	runtime.ReadMemStats(&heap)
	s := stats{
		Server: d.server.Stats(),
		Broker: d.feed.broker.Stats(),
		Process: processStats{
			PID:           os.Getpid(),
			GoVersion:     runtime.Version(),
			System:        runtime.GOOS + "/" + runtime.GOARCH,
			UptimeSeconds: round(time.Since(d.feed.started).Seconds(), 1),
			Goroutines:    runtime.NumGoroutine(),
			Procs:         runtime.GOMAXPROCS(0),
			HeapBytes:     heap.HeapAlloc,
		},
	}
	s.Slow = d.slow.stats()
	self := process.Process{Pid: int32(os.Getpid())}
	if m, err := self.MemoryInfoWithContext(ctx); err == nil {
		s.Process.RSSBytes = m.RSS
	}
	return s
}

func (d *demo) serveStats(c *celeris.Context) error {
	return c.JSON(http.StatusOK, d.stats(c.Context()))
}
