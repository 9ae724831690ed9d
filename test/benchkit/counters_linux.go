package benchkit

import (
	"encoding/json"
	"fmt"
	"os"
	"runtime"
	"runtime/debug"
	"syscall"
)

// Collect gives what is free back to the system.
func Collect() {
	runtime.GC()
	runtime.GC()
	debug.FreeOSMemory()
}

// Line is the answer to "stats": what this process has used, with what the server says of itself.
func (c Counters) Line() (string, error) {
	var r syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &r); err != nil {
		return "", fmt.Errorf("getrusage: %w", err)
	}
	statm, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		return "", err
	}
	var pages, resident int64
	if _, err := fmt.Sscan(string(statm), &pages, &resident); err != nil {
		return "", fmt.Errorf("statm: %w", err)
	}
	c.CPU = r.Utime.Nano() + r.Stime.Nano()
	c.RSS = resident * int64(os.Getpagesize())
	c.Goroutines = runtime.NumGoroutine()
	line, err := json.Marshal(c)
	return string(line), err
}
