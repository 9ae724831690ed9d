package exchange

import (
	"bufio"
	"errors"
	"io"
	"net"
	"net/http"
	"sync/atomic"
)

// ErrDetached is what a middleware gets that writes to a response which has become a stream.
var ErrDetached = errors.New("celeris: the response has become a stream")

// Writer is the base writer of an exchange: it passes everything on and remembers what a takeover must
// know.
type Writer struct {
	http.ResponseWriter
	status   int
	bytes    int64 // of the body
	expect   []byte
	seen     []byte
	flushed  bool
	encoded  bool
	hijacked bool
	detached bool
	// started is for those who ask from a goroutine that a middleware such as http.TimeoutHandler began
	// and left behind.
	started atomic.Bool
}

var (
	_ http.Flusher  = (*Writer)(nil)
	_ http.Hijacker = (*Writer)(nil)
	_ io.ReaderFrom = (*Writer)(nil)
)

// released is below a detached writer whose response is gone.
type released http.Header

// Header implements [http.ResponseWriter].
func (h released) Header() http.Header { return http.Header(h) }

// WriteHeader implements [http.ResponseWriter].
func (released) WriteHeader(int) {}

// Write implements [http.ResponseWriter].
func (released) Write([]byte) (int, error) { return 0, ErrDetached }

// Unwrap serves [http.ResponseController].
func (w *Writer) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// Status is the final status that was written, or 0.
func (w *Writer) Status() int { return w.status }

// WriteHeader passes the status on and remembers the first final one.
func (w *Writer) WriteHeader(status int) {
	if w.detached {
		return
	}
	w.note(status)
	w.ResponseWriter.WriteHeader(status)
}

func (w *Writer) note(status int) {
	if w.status == 0 && (status >= 200 || status == http.StatusSwitchingProtocols) {
		w.status = status
		w.started.Store(true)
		w.encoded = w.Header().Get("Content-Encoding") != ""
	}
}

// Write passes p on. The first bytes of a stream are remembered, no more than what was expected and one.
func (w *Writer) Write(p []byte) (int, error) {
	if w.detached {
		return 0, ErrDetached
	}
	w.note(http.StatusOK)
	if w.expect != nil {
		w.seen = append(w.seen, p[:min(len(p), len(w.expect)+1-len(w.seen))]...)
	}
	w.flushed = false
	n, err := w.ResponseWriter.Write(p)
	w.bytes += int64(n)
	return n, err
}

// ReadFrom keeps the way to sendfile open that the writer below has.
func (w *Writer) ReadFrom(r io.Reader) (int64, error) {
	if w.detached {
		return 0, ErrDetached
	}
	if w.expect != nil {
		return io.Copy(struct{ io.Writer }{w}, r)
	}
	w.note(http.StatusOK)
	w.flushed = false
	n, err := io.Copy(w.ResponseWriter, r)
	w.bytes += n
	return n, err
}

// Flush is [Writer.FlushError] for those who ask for an [http.Flusher].
func (w *Writer) Flush() { _ = w.FlushError() } // http.Flusher has no way to report it

// FlushError flushes the writer below.
func (w *Writer) FlushError() error {
	if w.detached {
		return ErrDetached
	}
	w.note(http.StatusOK)
	err := http.NewResponseController(w.ResponseWriter).Flush()
	w.flushed = w.flushed || err == nil
	return err
}

// Hijack takes the connection from the writer below.
func (w *Writer) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	if w.detached {
		return nil, nil, ErrDetached
	}
	c, rw, err := http.NewResponseController(w.ResponseWriter).Hijack()
	if err == nil {
		w.hijacked = true
		w.started.Store(true)
	}
	return c, rw, err
}
