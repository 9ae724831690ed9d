package celeris_test

import (
	"bytes"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"runtime"
	"testing"
	"time"

	"github.com/goceleris/celeris"
	"github.com/goceleris/celeris/middleware/sse"
)

// shouting changes what is written, and shows what is below it.
type shouting struct{ http.ResponseWriter }

func (w shouting) Unwrap() http.ResponseWriter { return w.ResponseWriter }

func (w shouting) Write(p []byte) (int, error) { return w.ResponseWriter.Write(bytes.ToUpper(p)) }

// foreign reads the whole of a stream of an app inside of somebody else's server, and tells whether it was parked. A
// portable one is not waited for to be.
func foreign(t *testing.T, portable bool, around func(*celeris.Server) http.HandlerFunc) (body string, parked bool) {
	t.Helper()
	quiet := slog.New(slog.DiscardHandler)
	app := celeris.New(celeris.Config{Logger: quiet})
	send := make(chan struct{})
	app.GET("/", sse.New(sse.Config{Logger: quiet, Handler: func(c *sse.Client) {
		<-send
		if err := c.Send(sse.Event{Data: "loud"}); err != nil {
			t.Error(err)
		}
	}}))
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	srv := &http.Server{ConnContext: app.ConnContext, Handler: around(app)}
	served := make(chan error, 1)
	go func() { served <- srv.Serve(l) }()
	defer func() {
		_ = app.Shutdown(t.Context())
		_ = srv.Close()
		<-served
	}()
	c, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	limit := time.Now().Add(10 * time.Second)
	_ = c.SetDeadline(limit)
	fmt.Fprintf(c, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
	// A request becomes a parked stream, or goes on as a portable one.
	for st := app.Stats(); time.Now().Before(limit) && (st.Streams == 0 || st.ParkedStreams == 0 && !portable); st = app.Stats() {
		runtime.Gosched()
	}
	parked = app.Stats().ParkedStreams == 1
	close(send)
	b, err := io.ReadAll(c)
	if err != nil {
		t.Fatal(err)
	}
	_, after, _ := bytes.Cut(b, []byte("\r\n\r\n"))
	return string(after), parked
}

func TestConnContext_LeavesStreamsInsideOfWhatChangesThem(t *testing.T) {
	body, parked := foreign(t, true, func(app *celeris.Server) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			app.ServeHTTP(shouting{w}, r)
			_, _ = io.WriteString(w, "BYE\n") // as a compressor does with its last block
		}
	})
	if want := "RETRY: 3000\n\nDATA: LOUD\n\nBYE\n"; body != want || parked {
		t.Errorf("got %q, parked %v, want %q", body, parked, want)
	}
}

func TestConnContext_LetsStreamsBeParked(t *testing.T) {
	body, parked := foreign(t, runtime.GOOS != "linux", func(app *celeris.Server) http.HandlerFunc { return app.ServeHTTP })
	if want := "retry: 3000\n\ndata: loud\n\n"; body != want || parked != (runtime.GOOS == "linux") {
		t.Errorf("got %q, parked %v, want %q", body, parked, want)
	}
}
