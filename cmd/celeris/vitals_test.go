package main

import (
	"testing"
	"time"

	"github.com/shirou/gopsutil/v4/cpu"
)

func TestBusyPercent(t *testing.T) {
	for _, test := range []struct {
		name          string
		before, after cpu.TimesStat
		want          float64
	}{
		{"idle", cpu.TimesStat{Idle: 10}, cpu.TimesStat{Idle: 11}, 0},
		{"busy", cpu.TimesStat{User: 10, System: 5}, cpu.TimesStat{User: 10.5, System: 5.5}, 100},
		{"a quarter", cpu.TimesStat{User: 1, Idle: 1}, cpu.TimesStat{User: 2, Idle: 4}, 25},
		{"waiting for a disk is idle", cpu.TimesStat{}, cpu.TimesStat{User: 1, Iowait: 1}, 50},
		{"guest time is user time", cpu.TimesStat{}, cpu.TimesStat{User: 1, Guest: 1, Idle: 1}, 50},
		{"no time has passed", cpu.TimesStat{User: 1}, cpu.TimesStat{User: 1}, 0},
		{"the counters went back", cpu.TimesStat{User: 9, Idle: 1}, cpu.TimesStat{User: 1, Idle: 20}, 0},
	} {
		if got := busyPercent(test.before, test.after); got != test.want {
			t.Errorf("%s: %v, want %v", test.name, got, test.want)
		}
	}
}

func TestSampler_TakesRatesOverTheLastIntervals(t *testing.T) {
	var s sampler
	start := time.Now()
	at := func(i int, bytes uint64, cores int) vitals {
		return s.rates(reading{
			at: start.Add(time.Duration(i) * sampleInterval), in: bytes, out: 2 * bytes, network: true,
			cores: make([]cpu.TimesStat, cores),
		})
	}
	if v := at(0, 0, 2); v.CPU != nil || v.Network != nil {
		t.Errorf("rates after one reading: %+v, want none", v)
	}
	for i := 1; i <= smoothing; i++ {
		if v := at(i, uint64(i)*200, 2); v.Network == nil || v.Network.In != 1000 || v.Network.Out != 2000 || len(v.CPU) != 2 {
			t.Errorf("reading %d: %+v of %+v, want 1000 in, 2000 out, two cores", i, v, v.Network)
		}
	}
	// From here on the counters stand still; the rate is forgotten with the readings.
	for i := range smoothing {
		at(smoothing+1+i, smoothing*200, 2)
	}
	if v := at(2*smoothing+1, smoothing*200, 2); v.Network.In != 0 {
		t.Errorf("%d readings after the last byte: %v bytes per second, want 0", smoothing+1, v.Network.In)
	}
	if v := at(2*smoothing+2, 0, 3); v.CPU != nil || v.Network.In != 0 {
		t.Errorf("with another core and an interface less: %+v, %+v, want no CPU and no traffic", v, v.Network)
	}
}

func TestSampler_ReadsThisMachine(t *testing.T) {
	var s sampler
	s.next(t.Context())
	for _, v := range []vitals{s.next(t.Context()), s.next(t.Context())} {
		if v.Memory == nil || v.Memory.Used == 0 || v.Memory.Used > v.Memory.Total {
			t.Errorf("memory = %+v", v.Memory)
		}
		if len(v.CPU) == 0 {
			t.Errorf("no CPU in %+v", v)
		}
		for _, percent := range v.CPU {
			if percent < 0 || percent > 100 {
				t.Errorf("CPU = %v, want percentages", v.CPU)
			}
		}
	}
}

func TestPositions_ReachBackOneMinute(t *testing.T) {
	var p positions
	if got := p.oldest(); got != "" {
		t.Errorf("oldest of none = %q, want empty", got)
	}
	start := time.Now()
	p.add("a", start)
	p.add("b", start.Add(time.Second))
	p.add("c", start.Add(backfill))
	if got := p.oldest(); got != "a" {
		t.Errorf("oldest = %q, want a", got)
	}
	p.add("d", start.Add(backfill+time.Millisecond))
	if got := p.oldest(); got != "b" {
		t.Errorf("oldest = %q, want b", got)
	}
}
