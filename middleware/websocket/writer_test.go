package websocket_test

import (
	"bufio"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/goceleris/celeris"
	"github.com/goceleris/celeris/middleware/websocket"
)

// late keeps the head of a response until its body begins, as writers that compress do.
type late struct {
	http.ResponseWriter
	status int
}

func (w *late) WriteHeader(status int)      { w.status = status }
func (w *late) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// taker has a connection of its own to give away.
type taker struct {
	http.ResponseWriter
	header http.Header
}

func (w *taker) Header() http.Header { return w.header }
func (w *taker) WriteHeader(int)     {}
func (w *taker) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	return http.NewResponseController(w.ResponseWriter).Hijack()
}

func TestNew_GetsPastWritersThatHoldBack(t *testing.T) {
	for name, wrap := range map[string]func(http.ResponseWriter) http.ResponseWriter{
		"late":  func(w http.ResponseWriter) http.ResponseWriter { return &late{ResponseWriter: w} },
		"taker": func(w http.ResponseWriter) http.ResponseWriter { return &taker{w, http.Header{}} },
	} {
		for where, h := range map[string]http.Handler{
			"inside":  celeris.FromHTTPMiddleware(wrapper(wrap))(websocket.New(websocket.Config{Handler: echo})),
			"outside": wrapper(wrap)(websocket.New(websocket.Config{Handler: echo})),
		} {
			t.Run(name+" "+where, func(t *testing.T) {
				s := httptest.NewServer(h)
				defer s.Close()
				r := dialRaw(t, "ws"+strings.TrimPrefix(s.URL, "http"))
				for range 2 {
					r.send(text("x"))
					r.want("81 x")
				}
				r.send([]byte("\x88\x80\x00\x00\x00\x00"))
				r.want("88 ")
				r.want("EOF")
			})
		}
	}
}

func wrapper(wrap func(http.ResponseWriter) http.ResponseWriter) func(http.Handler) http.Handler {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { next.ServeHTTP(wrap(w), r) })
	}
}

func TestNew_NamesTheWriterThatCantBeTakenOver(t *testing.T) {
	s := httptest.NewServer(http.TimeoutHandler(websocket.New(websocket.Config{Handler: echo}), time.Minute, ""))
	defer s.Close()
	nc, err := net.Dial("tcp", strings.TrimPrefix(s.URL, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	if _, resp := knock(t, nc, hello); resp.StatusCode != 500 {
		t.Errorf("%s", resp.Status)
	}
}

func TestOnStreamEnd_MayPanic(t *testing.T) {
	ended := make(chan struct{}, 2)
	app := celeris.New(celeris.Config{Logger: quiet})
	app.GET("/{name}", websocket.New(websocket.Config{Handler: echo, Logger: quiet}), func(next celeris.HandlerFunc) celeris.HandlerFunc {
		return func(c *celeris.Context) error {
			for range 2 {
				c.OnStreamEnd(func(celeris.StreamEnd) {
					ended <- struct{}{}
					panic("oh")
				})
			}
			return next(c)
		}
	})
	s := httptest.NewServer(app)
	defer s.Close()
	r := dialRaw(t, "ws"+strings.TrimPrefix(s.URL, "http"))
	r.Close()
	<-ended
	<-ended
}
