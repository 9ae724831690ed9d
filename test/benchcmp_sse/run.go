package main

import (
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"time"

	"github.com/goceleris/celeris/test/benchkit"
	"github.com/goceleris/celeris/test/loadgen"
)

// spare is how many files a process has open besides its streams.
const spare = 100

// run measures everything.
func run(s Settings, client func() *exec.Cmd, say func(format string, args ...any)) (*Result, error) {
	begin := time.Now()
	dir, err := os.MkdirTemp("", "benchcmp")
	if err != nil {
		return nil, err
	}
	defer func() { _ = os.RemoveAll(dir) }() // what is left is in the system's temporary directory
	b := &bench{client: client, order: rand.New(rand.NewPCG(1, 2)), say: say}
	b.When, b.Settings, b.Machine = begin.UTC(), s, machine()
	bottom, err := floors(dir)
	if err != nil {
		b.note("%v", err)
	}
	b.Designs = append(bottom, designs()...)
	if err := b.fit(); err != nil {
		return nil, err
	}

	m := b.start(load{n: s.Subs}, nil)
	m.rounds("single", s.Rounds, 60*time.Second, m.closed(1))
	m.rounds("burst 10", max(s.Rounds/2, 2), 30*time.Second, m.closed(10))
	m.rounds("burst 100", max(s.Rounds/2, 2), 70*time.Second, m.closed(100))
	m.rounds("latency", max(s.Rounds/3, 2), 50*time.Second, m.paced(min(20, 4*s.Rounds), b.latencyInterval()))
	m.rounds("overload", max(s.Rounds/3, 2), 40*time.Second, m.paced(100, time.Millisecond))
	m.stop()

	m = b.start(load{n: s.Subs, topics: s.Topics}, nil)
	m.rounds("topics", max(s.Rounds/2, 2), 30*time.Second, m.closed(1))
	m.stop()

	b.stalls(s.Rounds, 60*time.Second)
	b.idle()
	b.publishes()
	b.Machine.Took = time.Since(begin).Seconds()
	return &b.Result, nil
}

// fit makes the numbers of streams fit the limit of open files.
func (b *bench) fit() error {
	files, err := loadgen.FileLimit()
	if err != nil {
		return err
	}
	for _, n := range []*int{&b.Settings.Subs, &b.Settings.Idle, &b.Settings.Many, &b.Settings.Stall} {
		if *n > files-spare {
			b.note("the limit of open files is %d (ulimit -Hn): %d streams instead of %d", files, files-spare, *n)
			*n = files - spare
		}
	}
	if b.Settings.Subs < 10 {
		return fmt.Errorf("%d streams are too few", b.Settings.Subs)
	}
	return nil
}

func machine() Machine {
	m := Machine{Cores: runtime.NumCPU(), Go: runtime.Version(), CC: benchkit.Compiler()}
	if b, err := os.ReadFile("/proc/cpuinfo"); err == nil {
		for line := range strings.Lines(string(b)) {
			if name, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(name) == "model name" {
				m.CPU = strings.TrimSpace(value)
				break
			}
		}
	}
	if b, err := os.ReadFile("/proc/sys/kernel/osrelease"); err == nil {
		m.Kernel = strings.TrimSpace(string(b))
	}
	if b, err := os.ReadFile("/proc/loadavg"); err == nil {
		m.Load = strings.Join(strings.Fields(string(b))[:3], " ")
	}
	return m
}
