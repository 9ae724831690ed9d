package websocket

import (
	"errors"
	"io"
	"net"
	"net/http"
	"time"

	"github.com/goceleris/celeris"
)

// tunnel is a stream of HTTP/2 as a connection, RFC 8441. Its deadlines for reading are those of a pipe: one that passes
// on the stream itself would end it.
type tunnel struct {
	net.Conn // what a goroutine reads from the stream comes out here
	in       net.Conn
	w        http.ResponseWriter
	rc       *http.ResponseController
	body     io.ReadCloser
	done     chan struct{}
}

// connect answers over HTTP/2.
func (v *visit) connect(c *celeris.Context) (net.Conn, error) {
	w := c.Response()
	w.WriteHeader(http.StatusOK)
	rc := http.NewResponseController(w)
	// Those of the request. Behind a writer that can't lift them the connection ends with them, as a request would.
	_ = rc.SetReadDeadline(time.Time{})
	_ = rc.SetWriteDeadline(time.Time{})
	if err := rc.Flush(); err != nil {
		return nil, &celeris.HTTPError{Code: http.StatusInternalServerError, Err: err}
	}
	t := &tunnel{w: w, rc: rc, body: c.Request().Body, done: make(chan struct{})}
	t.Conn, t.in = net.Pipe()
	go t.pump()
	return t, nil
}

// pump reads until the stream or the connection ends.
func (t *tunnel) pump() {
	defer close(t.done)
	_, _ = io.Copy(t.in, t.body)
	_ = t.in.Close()
}

// Write implements [net.Conn].
func (t *tunnel) Write(p []byte) (int, error) {
	n, err := t.w.Write(p)
	if err == nil {
		err = t.rc.Flush()
	}
	return n, err
}

// SetWriteDeadline implements [net.Conn].
func (t *tunnel) SetWriteDeadline(at time.Time) error {
	if err := t.rc.SetWriteDeadline(at); err != nil && !errors.Is(err, http.ErrNotSupported) {
		return err
	}
	return nil
}

// Close implements [net.Conn]. The handler's return ends the stream.
func (t *tunnel) Close() error {
	_ = t.body.Close()
	_ = t.in.Close()
	return t.Conn.Close()
}

// detached makes the tunnel write past the middleware.
func (t *tunnel) detached(w http.ResponseWriter) { t.w, t.rc = w, http.NewResponseController(w) }
