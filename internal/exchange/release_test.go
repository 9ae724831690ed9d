package exchange_test

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"runtime"
	"testing"
	"weak"

	"github.com/goceleris/celeris/internal/exchange"
)

// A middleware's context may be kept for as long as a stream lives, and knows the exchange and its writer.
func TestRelease_LetsGoOfTheResponse(t *testing.T) {
	var x *exchange.Exchange
	var kept http.ResponseWriter
	response := func() weak.Pointer[httptest.ResponseRecorder] {
		w := httptest.NewRecorder()
		exchange.Serve(nil, w, httptest.NewRequest("GET", "/", nil), func(w http.ResponseWriter, r *http.Request) {
			x, kept = exchange.From(r.Context()), w
			x.Expect([]byte("a"))
			w.Header().Set("X", "1")
			_, _ = w.Write([]byte("a"))
			w.(http.Flusher).Flush()
			if !x.Detach(func(bool) { x.Release() }) {
				t.Fatal("not detached")
			}
		})
		return weak.Make(w)
	}()
	runtime.GC()
	if response.Value() != nil {
		t.Error("the response is kept")
	}
	kept.WriteHeader(http.StatusTeapot)
	if _, err := kept.Write([]byte("b")); !errors.Is(err, exchange.ErrDetached) {
		t.Errorf("Write = %v", err)
	}
	if err := http.NewResponseController(kept).Flush(); !errors.Is(err, exchange.ErrDetached) {
		t.Errorf("Flush = %v", err)
	}
	if got := kept.Header().Get("X"); got != "1" || !x.Started() {
		t.Errorf("header %q, started %v", got, x.Started())
	}
}
