package celeris_test

import (
	"net"
	"net/http"
	"os"
	"reflect"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/goceleris/celeris"
	"github.com/goceleris/celeris/internal/exchange"
)

// starved is a listener that lacks descriptors as often as it is told to.
type starved struct {
	*pipes
	lacks atomic.Int64
	err   error
}

func (l *starved) Accept() (net.Conn, error) {
	if l.lacks.Add(-1) >= 0 {
		return nil, &net.OpError{Op: "accept", Net: "tcp", Err: os.NewSyscallError("accept4", l.err)}
	}
	return l.pipes.Accept()
}

func TestServe_OutlastsALackOfDescriptors(t *testing.T) {
	for _, err := range []error{syscall.EMFILE, syscall.ENFILE, syscall.ENOBUFS, syscall.ENOMEM} {
		everywhere(t, func(t *testing.T, p protocol) {
			var log logs
			cfg := p.config(celeris.Config{})
			cfg.Logger = log.logger()
			app := celeris.New(cfg)
			app.GET("/", says("hi"))
			l := &starved{pipes: newPipes(), err: err}
			l.lacks.Store(1000)
			serve(t, app, l)
			get := func() {
				t.Helper()
				client := p.client(t, l.pipes)
				defer client.CloseIdleConnections()
				if code, body := request(t, client, "GET", p.url("/")); code != 200 || body != "hi" {
					t.Errorf("response = %d %q, want 200 hi", code, body)
				}
			}
			start := time.Now()
			get()
			// 5, 10, 20, 40, 80, and then 100 ms.
			if took, want := time.Since(start), 155*time.Millisecond+995*100*time.Millisecond; took < want || took > want+time.Second {
				t.Errorf("it took %v, want %v", took, want)
			}
			count := func(what string, want int) {
				t.Helper()
				synctest.Wait()
				if got := strings.Count(log.String(), what); got != want {
					t.Errorf("%q was logged %d times, want %d:\n%s", what, got, want, log.String())
				}
			}
			for range 20 { // one that comes and goes is the same
				l.lacks.Store(1)
				get()
				time.Sleep(time.Second)
			}
			count("out of descriptors", 1)
			count("descriptors suffice again", 0)
			time.Sleep(10 * time.Second)
			get()
			count("descriptors suffice again", 1)
			count("failed=1020", 1)
			get()
			l.lacks.Store(2)
			get()
			get()
			count("out of descriptors", 2)
			count("descriptors suffice again", 1)
			count("http: Accept error", 0)
		})
	}
}

func TestServe_ShutdownInALackOfDescriptors(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		app := celeris.New(quiet())
		l := &starved{pipes: newPipes(), err: syscall.EMFILE}
		l.lacks.Store(1 << 40)
		result := serve(t, app, l)
		time.Sleep(time.Hour)
		start := time.Now()
		if err := app.Shutdown(t.Context()); err != nil || time.Since(start) != 0 {
			t.Errorf("Shutdown = %v after %v, want nil at once", err, time.Since(start))
		}
		if err := <-result; err != nil {
			t.Errorf("Serve = %v, want nil", err)
		}
	})
}

func TestServe_LeavesConnectionsAsTheyAre(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		app := celeris.New(quiet())
		seen := make(chan net.Conn, 1)
		app.GET("/", func(c *celeris.Context) error {
			seen <- exchange.Conn(c.Context())
			return c.NoContent(http.StatusNoContent)
		})
		l := &starved{pipes: newPipes(), err: syscall.EMFILE}
		l.lacks.Store(1)
		serve(t, app, l)
		request(t, protocols[0].client(t, l.pipes), "GET", "http://x/")
		want, _ := net.Pipe()
		if got := <-seen; reflect.TypeOf(got) != reflect.TypeOf(want) {
			t.Errorf("connection is a %T, want a %T", got, want)
		}
	})
}
