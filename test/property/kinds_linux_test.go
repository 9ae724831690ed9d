package property

import (
	"testing"

	"github.com/goceleris/celeris/engine"
	"github.com/goceleris/celeris/engine/iouring"
	"github.com/goceleris/celeris/internal/park"
)

// kinds are the engines for the streams on HTTP/1.1.
var kinds = []engine.Kind{engine.Std, engine.Epoll, engine.IOUring}

// need skips the test where the system has no such engine, and a server would use another.
func need(t *testing.T, kind engine.Kind) {
	t.Helper()
	if kind != engine.IOUring {
		return
	}
	e, err := iouring.New(park.Options{})
	if err != nil {
		t.Skip("SKIPPED: nothing is known about io_uring, which this system doesn't offer:", err)
	}
	e.Close()
}
