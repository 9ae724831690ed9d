package celeristest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"mime"
	"net"
	"net/http"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/goceleris/celeris/internal/memnet"
	"github.com/goceleris/celeris/middleware/sse"
)

const (
	shownBytes = 4 << 10     // of a response that is no stream
	shownTime  = time.Second // for them to come
)

var errNoHead = errors.New("no head of a response came in time: a handler that streams has to flush it")

// connection is one response of a stream.
type connection struct {
	stream   *Stream
	net      *memnet.Conn
	response *http.Response
	hangUp   func()        // ends the request and what is left of its connection
	done     chan struct{} // closed when nothing reads any more

	mu   sync.Mutex // guards what follows
	cut  int        // how many bytes of the body may still be read, -1 for any number
	left bool       // the reader has closed the connection
}

// open connects the stream and begins to read.
func (s *Stream) open() error {
	c, err := s.dial()
	if err != nil {
		return fmt.Errorf("%s %s: %w", s.opts.Method, s.target, err)
	}
	s.mu.Lock()
	s.conn, s.err = c, nil
	lastID := s.lastID
	s.mu.Unlock()
	go c.read(lastID)
	return nil
}

// dial sends the request and returns the response that is an event stream.
func (s *Stream) dial() (_ *connection, err error) {
	c := &connection{stream: s, done: make(chan struct{}), cut: -1}
	ctx, cancel := context.WithCancelCause(s.ctx)
	tr := s.site.transport(func(ctx context.Context) (net.Conn, error) {
		conn, err := s.site.dial(ctx)
		if err != nil {
			return nil, err
		}
		c.mu.Lock()
		c.net = conn
		c.mu.Unlock()
		return conn, nil
	})
	c.hangUp = func() {
		cancel(net.ErrClosed)
		if conn := c.network(); conn != nil {
			_ = conn.Close()
		}
	}
	defer func() {
		if err != nil {
			c.hangUp()
		}
	}()
	r, err := s.request()
	if err != nil {
		return nil, err
	}
	patience := time.AfterFunc(s.opts.Patience, func() { cancel(errNoHead) })
	client := http.Client{Transport: tr, Jar: s.site.client.Jar}
	c.response, err = client.Do(r.WithContext(ctx)) //nolint:bodyclose // end closes it
	switch intime := patience.Stop(); {
	case ctx.Err() != nil:
		return nil, context.Cause(ctx)
	case !intime:
		return nil, errNoHead
	case err != nil:
		return nil, errors.Unwrap(err) // without its method and URL
	}
	kind, _, _ := mime.ParseMediaType(c.response.Header.Get("Content-Type"))
	if c.response.StatusCode == http.StatusOK && kind == "text/event-stream" {
		return c, nil
	}
	defer time.AfterFunc(shownTime, func() { cancel(errNoHead) }).Stop()
	body, _ := io.ReadAll(io.LimitReader(c.response.Body, shownBytes)) // what has come is worth showing
	_ = c.response.Body.Close()
	return nil, fmt.Errorf("the response is %s with Content-Type %q, not a 200 with text/event-stream; its body: %q",
		c.response.Status, c.response.Header.Get("Content-Type"), strings.TrimSpace(string(body)))
}

func (c *connection) network() *memnet.Conn {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.net
}

// read takes events until the connection ends.
func (c *connection) read(lastID string) {
	defer close(c.done)
	defer c.response.Body.Close()
	src := &body{connection: c}
	r := sse.NewReader(src, &sse.ReaderOptions{MaxEventBytes: maxUnread, LastEventID: lastID})
	src.reader = r
	for {
		e, err := r.Next()
		if err == nil {
			err = c.stream.arrived(e)
		}
		if err != nil {
			c.stream.learn(r)
			c.stream.end(c.reason(err))
			return
		}
	}
}

// reason is what the reader of the stream learns of its end.
func (c *connection) reason(err error) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.left && !errors.Is(err, io.EOF) {
		return fmt.Errorf("celeristest: stream: %w", net.ErrClosed)
	}
	return err
}

// body is the response's body. Whatever a reader has got from it is parsed before it reads on.
type body struct {
	*connection
	reader *sse.Reader
}

// Read implements [io.Reader].
func (b *body) Read(p []byte) (int, error) {
	b.stream.learn(b.reader)
	n, err := b.response.Body.Read(p)
	b.mu.Lock()
	if b.cut >= 0 {
		if n >= b.cut {
			n, err = b.cut, syscall.ECONNRESET
			b.net.Reset()
		}
		b.cut -= n
	}
	b.mu.Unlock()
	b.stream.keep(p[:n])
	return n, err
}

// limit lets so many more bytes of the body be read.
func (c *connection) limit(n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.cut = n
	if n == 0 {
		c.net.Reset()
	}
}

// leave closes the connection and waits until nothing reads any more.
func (c *connection) leave() {
	c.mu.Lock()
	c.left = true
	c.mu.Unlock()
	c.hangUp()
	<-c.done
}
