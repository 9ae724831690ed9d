package main

import (
	"context"
	"math"
	"time"

	"github.com/shirou/gopsutil/v4/cpu"
	"github.com/shirou/gopsutil/v4/load"
	"github.com/shirou/gopsutil/v4/mem"
	"github.com/shirou/gopsutil/v4/net"
)

// vitals is what a machine says about itself. A part that this system does not tell is absent.
type vitals struct {
	CPU     []float64 `json:"cpu,omitempty"` // per core, percent
	Memory  *memory   `json:"memory,omitempty"`
	Network *network  `json:"network,omitempty"`
	Load    []float64 `json:"load,omitempty"` // over 1, 5 and 15 minutes
}

type memory struct {
	Used  uint64 `json:"used"` // bytes
	Total uint64 `json:"total"`
}

// network is the traffic of all interfaces, loopback included, in bytes per second.
type network struct {
	In  float64 `json:"in"`
	Out float64 `json:"out"`
}

// smoothing is the number of sample intervals over which rates are taken. The kernel counts CPU time in
// hundredths of a second: a rate over a single interval could only move in steps of five percent.
const smoothing = 5

// sampler turns the machine's counters into rates. One goroutine uses it.
type sampler struct {
	readings []reading // oldest first, at most smoothing+1
}

// reading is what the counters said at one moment.
type reading struct {
	at      time.Time
	cores   []cpu.TimesStat
	in, out uint64
	network bool // in and out are known
}

// next reads the machine and returns its vital signs.
func (s *sampler) next(ctx context.Context) vitals {
	now := reading{at: time.Now()}
	now.cores, _ = cpu.TimesWithContext(ctx, true)
	if all, err := net.IOCountersWithContext(ctx, false); err == nil && len(all) == 1 {
		now.in, now.out, now.network = all[0].BytesRecv, all[0].BytesSent, true
	}
	v := s.rates(now)
	if m, err := mem.VirtualMemoryWithContext(ctx); err == nil {
		v.Memory = &memory{Used: m.Used, Total: m.Total}
	}
	if l, err := load.AvgWithContext(ctx); err == nil {
		v.Load = []float64{round(l.Load1, 2), round(l.Load5, 2), round(l.Load15, 2)}
	}
	return v
}

// rates adds now to the readings and returns what changed since the oldest of them.
func (s *sampler) rates(now reading) (v vitals) {
	if len(s.readings) > smoothing {
		s.readings = s.readings[1:]
	}
	s.readings = append(s.readings, now)
	before := s.readings[0]
	seconds := now.at.Sub(before.at).Seconds()
	if seconds <= 0 {
		return v
	}
	if len(before.cores) == len(now.cores) {
		for i, core := range now.cores {
			v.CPU = append(v.CPU, busyPercent(before.cores[i], core))
		}
	}
	if before.network && now.network {
		v.Network = &network{
			In:  perSecond(before.in, now.in, seconds),
			Out: perSecond(before.out, now.out, seconds),
		}
	}
	return v
}

// busyPercent returns the percentage of the time between two readings of a core in which it was not idle.
func busyPercent(before, after cpu.TimesStat) float64 {
	busy := busyTime(after) - busyTime(before)
	total := busy + after.Idle + after.Iowait - before.Idle - before.Iowait
	if total <= 0 {
		return 0
	}
	return round(min(max(100*busy/total, 0), 100), 1)
}

// busyTime leaves out guest time: the kernel counts it as user time already.
func busyTime(t cpu.TimesStat) float64 {
	return t.User + t.System + t.Nice + t.Irq + t.Softirq + t.Steal
}

// perSecond returns the rate of a counter, zero when it went back because an interface has left.
func perSecond(before, after uint64, seconds float64) float64 {
	if after < before {
		return 0
	}
	return math.Round(float64(after-before) / seconds)
}

func round(v float64, digits int) float64 {
	scale := math.Pow10(digits)
	return math.Round(v*scale) / scale
}
