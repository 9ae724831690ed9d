//go:build linux

package sockets

import (
	"crypto/tls"
	"crypto/x509"
	"net/http/httptest"
	"os"
	"sync"
	"testing"

	"github.com/goceleris/celeris/engine/epoll"
	"github.com/goceleris/celeris/engine/iouring"
	"github.com/goceleris/celeris/internal/park"
)

// way is what carries a stream, and what drives it.
type way struct {
	name string
	// open makes the engine that parks streams; nil where each has a goroutine.
	open func(sendBuffer int) (park.Engine, error)
	h2   bool
	tls  bool
}

var (
	onEpoll = way{name: "epoll", open: func(n int) (park.Engine, error) {
		return epoll.New(park.Options{SendBuffer: n, Logger: quiet})
	}}
	onIOUring = way{name: "iouring", open: func(n int) (park.Engine, error) {
		return iouring.New(park.Options{SendBuffer: n, Logger: quiet})
	}}
	onEpollTLS   = way{name: "epoll TLS", open: onEpoll.open, tls: true}
	onIOUringTLS = way{name: "iouring TLS", open: onIOUring.open, tls: true}

	onH1  = way{name: "std"}
	onH2C = way{name: "std h2c", h2: true}
	onTLS = way{name: "std TLS", tls: true}
	onH2  = way{name: "std h2 TLS", tls: true, h2: true}

	parked = []way{onEpoll, onIOUring}
	secure = []way{onEpollTLS, onIOUringTLS}
	plain  = []way{onEpoll, onIOUring, onH1} // a client has the connection to itself and sees its bytes
	all    = []way{onEpoll, onIOUring, onEpollTLS, onIOUringTLS, onH1, onH2C, onTLS, onH2}
)

// over runs a test over ways.
func over(t *testing.T, ways []way, test func(t *testing.T, w way)) {
	t.Helper()
	for _, w := range ways {
		t.Run(w.name, func(t *testing.T) {
			w.need(t)
			test(t, w)
		})
	}
}

// need skips the test where the system lacks what w takes.
func (w way) need(t testing.TB) {
	t.Helper()
	if w.name != onIOUring.name && w.name != onIOUringTLS.name {
		return
	}
	e, err := w.open(0)
	if err == nil {
		e.Close()
		return
	}
	if os.Getenv("CELERIS_NEED_IOURING") != "" {
		t.Fatal(err)
	}
	t.Skip("SKIPPED: nothing is known about io_uring, which this system doesn't offer:", err)
}

// certificate is one for example.com, with the pool that trusts it.
var certificate = sync.OnceValues(func() (tls.Certificate, *x509.CertPool) {
	ts := httptest.NewTLSServer(nil)
	defer ts.Close()
	pool := x509.NewCertPool()
	pool.AddCert(ts.Certificate())
	return ts.TLS.Certificates[0], pool
})
