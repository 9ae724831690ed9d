package loadgen

import (
	"fmt"
	"strings"
	"syscall"
	"time"
	"unsafe"
)

const schedBatch = 3 // SCHED_BATCH of sched(7)

// relax sets the nap between two looks at the sockets and asks for the scheduling class of batch jobs, which is not
// woken in the place of others. It answers whether the system agreed.
func (c *client) relax(nap time.Duration) (string, error) {
	c.nap = nap
	var priority int32
	_, _, errno := syscall.Syscall(syscall.SYS_SCHED_SETSCHEDULER, 0, schedBatch, uintptr(unsafe.Pointer(&priority)))
	return fmt.Sprintf(" %t", errno == 0), nil
}

// usage answers with the processor time of this process, in nanoseconds.
func usage() (string, error) {
	var r syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &r); err != nil {
		return "", fmt.Errorf("getrusage: %w", err)
	}
	return fmt.Sprintf(" %d", r.Utime.Nano()+r.Stime.Nano()), nil
}

// arrivals writes what Fleet.Arrivals reads.
func arrivals(watched []Arrival) string {
	var b strings.Builder
	for _, a := range watched {
		fmt.Fprintf(&b, " %d %d %d", a.Streams, a.First.UnixNano(), a.Last.UnixNano())
	}
	return b.String()
}
