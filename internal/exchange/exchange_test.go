package exchange_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strings"
	"testing"

	"github.com/goceleris/celeris/engine"
	"github.com/goceleris/celeris/internal/exchange"
)

// handle runs chain in an exchange on a recorder.
func handle(host *exchange.Host, chain func(http.ResponseWriter, *http.Request, *exchange.Exchange)) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	exchange.Serve(host, w, httptest.NewRequest("GET", "/", nil), func(w http.ResponseWriter, r *http.Request) {
		chain(w, r, exchange.From(r.Context()))
	})
	return w
}

func TestServe_TellsWhatItIs(t *testing.T) {
	var host exchange.Host
	rec := httptest.NewRecorder()
	r := httptest.NewRequest("GET", "/x", nil)
	if exchange.From(r.Context()) != nil {
		t.Error("From finds an exchange outside Serve")
	}
	client, server := net.Pipe()
	defer client.Close()
	defer server.Close()
	r = r.WithContext(exchange.ConnContext(r.Context(), server))
	exchange.Serve(&host, rec, r, func(w http.ResponseWriter, inner *http.Request) {
		x := exchange.From(inner.Context())
		if x.Request() != r || x.Base() != rec || x.Host() != &host || x.Conn() != server || x.Writer() != w {
			t.Error("the exchange does not know what it was made from")
		}
		x.SetRoute("GET /x")
		if got := x.Route(); got != "GET /x" {
			t.Errorf("Route() = %q, want GET /x", got)
		}
		for range 2 {
			x.OnStreamEnd(func(engine.End) {})
		}
		if got := len(x.Ends()); got != 2 {
			t.Errorf("Ends() has %d functions, want 2", got)
		}
		exchange.Serve(nil, w, inner, func(w2 http.ResponseWriter, r2 *http.Request) {
			if w2 != w || r2 != inner || exchange.From(r2.Context()) != x {
				t.Error("an exchange inside another is not that one")
			}
		})
	})
	handle(nil, func(_ http.ResponseWriter, _ *http.Request, x *exchange.Exchange) {
		if x.Conn() != nil || x.Host() != nil || x.Route() != "" {
			t.Error("the exchange knows more than it was told")
		}
	})
}

const start = "retry: 3000\n\n"

// wrapped hides everything of a writer but what http.ResponseController finds by Unwrap.
type wrapped struct{ http.ResponseWriter }

func (w wrapped) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// shouting changes what is written.
type shouting struct{ wrapped }

func (w shouting) Write(p []byte) (int, error) {
	return w.wrapped.Write([]byte(strings.ToUpper(string(p))))
}

func flush(w http.ResponseWriter) { _ = http.NewResponseController(w).Flush() }

func TestDetach(t *testing.T) {
	send := func(s string) func(http.ResponseWriter) {
		return func(w http.ResponseWriter) { io.WriteString(w, s); flush(w) }
	}
	tests := []struct {
		name  string
		write func(http.ResponseWriter)
		want  bool
	}{
		{"as expected", send(start), true},
		{"in parts", func(w http.ResponseWriter) { io.WriteString(w, start[:3]); send(start[3:])(w) }, true},
		{"explicit status", func(w http.ResponseWriter) { w.WriteHeader(200); send(start)(w) }, true},
		{"after an interim status", func(w http.ResponseWriter) { w.WriteHeader(103); send(start)(w) }, true},
		{"by ReadFrom", func(w http.ResponseWriter) {
			w.(io.ReaderFrom).ReadFrom(strings.NewReader(start))
			flush(w)
		}, true},
		{"through a wrapper", func(w http.ResponseWriter) { send(start)(wrapped{w}) }, true},
		{"head flushed before", func(w http.ResponseWriter) { flush(w); send(start)(w) }, true},

		{"through one that changes bytes", func(w http.ResponseWriter) { send(start)(shouting{wrapped{w}}) }, false},
		{"nothing written", func(w http.ResponseWriter) { flush(w) }, false},
		{"too little", send(start[1:]), false},
		{"too much", send(start + "x"), false},
		{"much too much", func(w http.ResponseWriter) { send(start)(w); send(start)(w) }, false},
		{"too much by ReadFrom", func(w http.ResponseWriter) {
			w.(io.ReaderFrom).ReadFrom(strings.NewReader(start + "more"))
			flush(w)
		}, false},
		{"not flushed", func(w http.ResponseWriter) { io.WriteString(w, start) }, false},
		{"flushed before the last byte", func(w http.ResponseWriter) { send(start[:5])(w); io.WriteString(w, start[5:]) }, false},
		{"another status", func(w http.ResponseWriter) { w.WriteHeader(201); send(start)(w) }, false},
		{"encoded", func(w http.ResponseWriter) { w.Header().Set("Content-Encoding", "gzip"); send(start)(w) }, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var ran []bool
			handle(nil, func(w http.ResponseWriter, _ *http.Request, x *exchange.Exchange) {
				x.Expect([]byte(start))
				tt.write(w)
				if got := x.Detach(func(ok bool) { ran = append(ran, ok) }); got != tt.want {
					t.Errorf("Detach() = %v, want %v", got, tt.want)
				}
				if len(ran) > 0 {
					t.Error("the stream ran before the chain had unwound")
				}
			})
			if tt.want && (len(ran) != 1 || !ran[0]) || !tt.want && len(ran) > 0 {
				t.Errorf("run was called with %v", ran)
			}
		})
	}
	t.Run("nothing expected", func(t *testing.T) {
		handle(nil, func(w http.ResponseWriter, _ *http.Request, x *exchange.Exchange) {
			send(start)(w)
			if x.Detach(func(bool) {}) {
				t.Error("Detach() = true, want false")
			}
		})
	})
}

func TestDetach_RefusesWhatTheChainWritesAfterwards(t *testing.T) {
	var late http.ResponseWriter
	rec := handle(nil, func(w http.ResponseWriter, _ *http.Request, x *exchange.Exchange) {
		x.Expect([]byte(start))
		io.WriteString(w, start)
		flush(w)
		if !x.Detach(func(bool) { io.WriteString(x.Base(), "data\n") }) {
			t.Fatal("Detach() = false")
		}
		w.WriteHeader(500)
		late = w
	})
	if _, err := late.Write([]byte("x")); !errors.Is(err, exchange.ErrDetached) {
		t.Errorf("Write: %v, want ErrDetached", err)
	}
	if _, err := late.(io.ReaderFrom).ReadFrom(strings.NewReader("x")); !errors.Is(err, exchange.ErrDetached) {
		t.Errorf("ReadFrom: %v, want ErrDetached", err)
	}
	if err := late.(*exchange.Writer).FlushError(); !errors.Is(err, exchange.ErrDetached) {
		t.Errorf("FlushError: %v, want ErrDetached", err)
	}
	if _, _, err := late.(http.Hijacker).Hijack(); !errors.Is(err, exchange.ErrDetached) {
		t.Errorf("Hijack: %v, want ErrDetached", err)
	}
	if rec.Code != 200 || rec.Body.String() != start+"data\n" {
		t.Errorf("response = %d %q, want the stream and nothing else", rec.Code, rec.Body)
	}
}

func TestDetach_TellsTheStreamOfAPanic(t *testing.T) {
	var ran []bool
	func() {
		defer func() {
			if v := recover(); v != "oh no" {
				t.Errorf("recovered %v, want the chain's panic", v)
			}
		}()
		handle(nil, func(w http.ResponseWriter, _ *http.Request, x *exchange.Exchange) {
			x.Expect([]byte(start))
			io.WriteString(w, start)
			flush(w)
			x.Detach(func(ok bool) { ran = append(ran, ok) })
			panic("oh no")
		})
	}()
	if !reflect.DeepEqual(ran, []bool{false}) {
		t.Errorf("run was called with %v, want once with false", ran)
	}
}

func TestWriter_RemembersItsStatus(t *testing.T) {
	tests := []struct {
		name    string
		write   func(http.ResponseWriter)
		status  int
		started bool
	}{
		{"nothing", func(http.ResponseWriter) {}, 0, false},
		{"interim", func(w http.ResponseWriter) { w.WriteHeader(103) }, 0, false},
		{"upgrade", func(w http.ResponseWriter) { w.WriteHeader(101) }, 101, true},
		{"final after interim", func(w http.ResponseWriter) { w.WriteHeader(103); w.WriteHeader(404) }, 404, true},
		{"first final", func(w http.ResponseWriter) { w.WriteHeader(404); w.WriteHeader(500) }, 404, true},
		{"write", func(w http.ResponseWriter) { io.WriteString(w, "x") }, 200, true},
		{"read from", func(w http.ResponseWriter) { w.(io.ReaderFrom).ReadFrom(strings.NewReader("x")) }, 200, true},
		{"flush", func(w http.ResponseWriter) { w.(http.Flusher).Flush() }, 200, true},
		{"failed hijack", func(w http.ResponseWriter) { w.(http.Hijacker).Hijack() }, 0, false},
	}
	for _, tt := range tests {
		handle(nil, func(w http.ResponseWriter, _ *http.Request, x *exchange.Exchange) {
			tt.write(w)
			if got := w.(*exchange.Writer).Status(); got != tt.status || x.Started() != tt.started {
				t.Errorf("%s: Status() = %d, Started() = %v, want %d, %v", tt.name, got, x.Started(), tt.status, tt.started)
			}
		})
	}
}

func TestWriter_HandsOverTheConnection(t *testing.T) {
	ts := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		exchange.Serve(nil, w, r, func(w http.ResponseWriter, r *http.Request) {
			x := exchange.From(r.Context())
			x.Expect([]byte(""))
			conn, _, err := http.NewResponseController(wrapped{w}).Hijack()
			if err != nil {
				t.Errorf("Hijack: %v", err)
				return
			}
			defer conn.Close()
			io.WriteString(conn, "HTTP/1.1 204 No Content\r\n\r\n")
			if !x.Started() {
				t.Error("Started() = false after a hijack")
			}
			if x.Detach(func(bool) {}) {
				t.Error("a hijacked response was detached")
			}
		})
	}))
	defer ts.Close()
	res, err := ts.Client().Get(ts.URL)
	if err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
	if res.StatusCode != 204 {
		t.Errorf("status = %d, want 204", res.StatusCode)
	}
}

func TestFrom_FindsNothingInAnotherContext(t *testing.T) {
	if exchange.From(context.Background()) != nil {
		t.Error("From found an exchange")
	}
}
