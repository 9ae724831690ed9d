package property

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
)

// errCut is what reading a stream ends with when the test has cut it.
var errCut = errors.New("cut")

// wire is one stream as its client reads it, up to where it is cut.
type wire interface {
	io.Reader
	// close ends the stream abruptly. It is called when Read has returned an error, or before.
	close()
}

// dialer opens streams, each of which will be cut when its client has read at bytes. What is counted is up to the
// dialer, and streams that share a connection may be cut together.
type dialer interface {
	open(ctx context.Context, rng *rand.Rand, follows set, lastID string, at int) (wire, error)
}

// reset closes a TCP connection so that the peer gets RST.
func reset(c *net.TCPConn) {
	_ = c.SetLinger(0) // fails on a closed connection only
	_ = c.Close()
}

// plain speaks HTTP/1.1, a connection for each stream.
type plain struct{ addr string }

// plainWire counts the bytes of the response's head too: it is cut there as well.
type plainWire struct {
	conn  *net.TCPConn
	left  int // bytes until the cut; negative for none
	hard  bool
	head  []byte
	begun bool
	stop  func() bool
}

func (d plain) open(ctx context.Context, rng *rand.Rand, follows set, lastID string, at int) (wire, error) {
	var nd net.Dialer
	c, err := nd.DialContext(ctx, "tcp", d.addr)
	if err != nil {
		return nil, err
	}
	w := &plainWire{conn: c.(*net.TCPConn), left: at, hard: rng.IntN(2) == 0}
	w.stop = context.AfterFunc(ctx, func() { _ = c.Close() })
	req := "GET /events?topics=" + follows.String() + " HTTP/1.1\r\nHost: property\r\nAccept: text/event-stream\r\n"
	if lastID != "" {
		req += "Last-Event-ID: " + lastID + "\r\n"
	}
	if _, err := io.WriteString(c, req+"\r\n"); err != nil {
		w.close()
		return nil, err
	}
	return w, nil
}

func (w *plainWire) Read(p []byte) (int, error) {
	if w.left == 0 {
		return 0, errCut
	}
	if w.left > 0 {
		p = p[:min(len(p), w.left)]
	}
	n, err := w.conn.Read(p)
	if w.left > 0 {
		w.left -= n
	}
	if w.begun {
		return n, err
	}
	w.head = append(w.head, p[:n]...)
	head, body, ok := bytes.Cut(w.head, []byte("\r\n\r\n"))
	if !ok {
		return 0, err
	}
	if !bytes.HasPrefix(head, []byte("HTTP/1.1 200 ")) || bytes.Contains(head, []byte("chunked")) {
		return 0, fmt.Errorf("response begins with %q", head)
	}
	w.begun = true
	return copy(p, body), err
}

func (w *plainWire) close() {
	w.stop()
	if w.hard {
		reset(w.conn)
		return
	}
	_ = w.conn.Close()
}

// shared speaks h2c: the streams of a few clients share a connection, so that some end with it and some alone.
type shared struct {
	addr      string
	transport *http.Transport
	kills     atomic.Int64

	mu   sync.Mutex
	last *killable
}

// killable is a connection that resets itself when that many more bytes were read.
type killable struct {
	*net.TCPConn
	d    *shared
	left atomic.Int64 // negative for no limit
}

func newShared(addr string) *shared {
	d := &shared{addr: addr}
	d.transport = &http.Transport{
		Protocols: new(http.Protocols), DisableCompression: true,
		DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
			var nd net.Dialer
			c, err := nd.DialContext(ctx, network, addr)
			if err != nil {
				return nil, err
			}
			k := &killable{TCPConn: c.(*net.TCPConn), d: d}
			k.left.Store(-1)
			d.mu.Lock()
			defer d.mu.Unlock()
			d.last = k
			return k, nil
		},
	}
	d.transport.Protocols.SetUnencryptedHTTP2(true)
	return d
}

// Read implements [net.Conn].
func (c *killable) Read(p []byte) (int, error) {
	left := c.left.Load()
	if left > 0 {
		p = p[:min(int64(len(p)), left)]
	}
	n, err := c.TCPConn.Read(p)
	if left > 0 && c.left.Add(-int64(n)) == 0 {
		c.d.kills.Add(1)
		reset(c.TCPConn)
	}
	return n, err
}

// kill has the connection reset after so many bytes, unless somebody else has decided about it already.
func (d *shared) kill(after int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.last != nil {
		d.last.left.CompareAndSwap(-1, int64(max(after, 1)))
	}
}

// sharedWire counts the bytes of the response's body.
type sharedWire struct {
	d      *shared
	kills  int64 // of the dialer when this stream began
	body   io.ReadCloser
	cancel context.CancelFunc
	left   int // bytes until the stream is cut; negative for none
}

func (d *shared) open(ctx context.Context, rng *rand.Rand, follows set, lastID string, at int) (wire, error) {
	ctx, cancel := context.WithCancel(ctx)
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://property/events?topics="+follows.String(), nil)
	if err != nil {
		cancel()
		return nil, err
	}
	req.Header.Set("Accept", "text/event-stream")
	if lastID != "" {
		req.Header.Set("Last-Event-ID", lastID)
	}
	w := &sharedWire{d: d, kills: d.kills.Load(), cancel: cancel, left: at}
	if at >= 0 && rng.IntN(4) == 0 {
		d.kill(at)
		w.left = -1
	}
	res, err := d.transport.RoundTrip(req)
	if err != nil {
		cancel()
		if d.kills.Load() > w.kills {
			err = errCut
		}
		return nil, err
	}
	if res.StatusCode != http.StatusOK || res.ProtoMajor != 2 {
		cancel()
		_ = res.Body.Close()
		return nil, fmt.Errorf("response is %s %s", res.Proto, res.Status)
	}
	w.body = res.Body
	return w, nil
}

func (w *sharedWire) Read(p []byte) (int, error) {
	if w.left == 0 {
		return 0, errCut
	}
	if w.left > 0 {
		p = p[:min(len(p), w.left)]
	}
	n, err := w.body.Read(p)
	if w.left > 0 {
		w.left -= n
	}
	if err != nil && err != io.EOF && w.d.kills.Load() > w.kills {
		err = errCut
	}
	return n, err
}

func (w *sharedWire) close() {
	w.cancel()
	_ = w.body.Close()
}
