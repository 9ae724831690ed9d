package exchange_test

import (
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/goceleris/celeris/internal/exchange"
)

func TestTake_NeedsAHijackedConnection(t *testing.T) {
	handle(nil, func(_ http.ResponseWriter, _ *http.Request, x *exchange.Exchange) {
		if x.Take(func(bool) { t.Error("it runs") }) || x.Status() != 0 {
			t.Errorf("taken, with status %d", x.Status())
		}
	})
}

func TestTake_RunsBehindTheChain(t *testing.T) {
	steps := make(chan string, 9)
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		exchange.Serve(nil, w, r, func(w http.ResponseWriter, r *http.Request) {
			x := exchange.From(r.Context())
			x.OnUnwound(func(o exchange.Outcome) {
				if o.Status != http.StatusSwitchingProtocols || !o.Stream {
					t.Errorf("%+v", o)
				}
				steps <- "unwound"
			})
			x.Expect([]byte{})
			w.WriteHeader(http.StatusSwitchingProtocols)
			nc, _, err := http.NewResponseController(w).Hijack()
			if err != nil {
				t.Error(err)
			}
			if x.Status() != http.StatusSwitchingProtocols {
				t.Errorf("Status() = %d", x.Status())
			}
			if !x.Take(func(ok bool) {
				if ok {
					steps <- "run"
				}
				nc.Close()
			}) {
				t.Error("not taken")
			}
			if x.Take(func(bool) {}) {
				t.Error("taken twice")
			}
			if _, err := io.WriteString(w, "late"); !errors.Is(err, exchange.ErrDetached) {
				t.Errorf("Write = %v", err)
			}
			steps <- "chain"
		})
	}))
	defer s.Close()
	nc, err := net.Dial("tcp", s.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	_, _ = io.WriteString(nc, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
	_, _ = io.ReadAll(nc)
	if a, b, c := <-steps, <-steps, <-steps; a+b+c != "chainunwoundrun" {
		t.Errorf("%s, %s, %s", a, b, c)
	}
}
