package exchange_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/goceleris/celeris/engine"
	"github.com/goceleris/celeris/internal/exchange"
)

func TestOnUnwound_TellsWhatWasSent(t *testing.T) {
	for name, row := range map[string]struct {
		method string
		gone   bool
		chain  func(http.ResponseWriter, *exchange.Exchange)
		want   exchange.Outcome
	}{
		"writes": {"GET", false, func(w http.ResponseWriter, _ *exchange.Exchange) {
			w.WriteHeader(http.StatusTeapot)
			io.WriteString(w, "short")
			w.(io.ReaderFrom).ReadFrom(strings.NewReader(" and stout"))
		}, exchange.Outcome{Status: http.StatusTeapot, Bytes: 15}},
		"HEAD": {"HEAD", false, func(w http.ResponseWriter, _ *exchange.Exchange) {
			io.WriteString(w, "not sent")
		}, exchange.Outcome{Status: http.StatusOK}},
		"writes nothing":             {"GET", false, func(http.ResponseWriter, *exchange.Exchange) {}, exchange.Outcome{Status: http.StatusOK}},
		"writes nothing to who left": {"GET", true, func(http.ResponseWriter, *exchange.Exchange) {}, exchange.Outcome{Aborted: true}},
		"panics":                     {"GET", false, func(http.ResponseWriter, *exchange.Exchange) { panic(http.ErrAbortHandler) }, exchange.Outcome{Aborted: true}},
		"panics behind half an answer": {"GET", false, func(w http.ResponseWriter, _ *exchange.Exchange) {
			io.WriteString(w, "half")
			panic(http.ErrAbortHandler)
		}, exchange.Outcome{Status: http.StatusOK, Bytes: 4, Aborted: true}},
		"becomes a stream": {"GET", false, func(w http.ResponseWriter, x *exchange.Exchange) {
			x.Expect([]byte(start))
			io.WriteString(w, start)
		}, exchange.Outcome{Status: http.StatusOK, Bytes: int64(len(start)), Stream: true}},
	} {
		t.Run(name, func(t *testing.T) {
			ctx, cancel := context.WithCancel(t.Context())
			if row.gone {
				cancel()
			}
			defer cancel()
			var got []exchange.Outcome
			defer func() {
				if p := recover(); p != nil && !row.want.Aborted {
					t.Errorf("panic: %v", p)
				}
				if len(got) != 1 || got[0] != row.want {
					t.Errorf("told of %+v, want once %+v", got, row.want)
				}
			}()
			r := httptest.NewRequestWithContext(ctx, row.method, "/", nil)
			exchange.Serve(nil, httptest.NewRecorder(), r, func(w http.ResponseWriter, r *http.Request) {
				x := exchange.From(r.Context())
				x.OnUnwound(func(o exchange.Outcome) { got = append(got, o) })
				row.chain(w, x)
			})
		})
	}
}

func TestOnUnwound_ComesBetweenTheChainAndTheStream(t *testing.T) {
	var steps []string
	step := func(s string) { steps = append(steps, s) }
	handle(nil, func(w http.ResponseWriter, _ *http.Request, x *exchange.Exchange) {
		x.OnStreamStart(func() { step("start") })
		x.OnUnwound(func(exchange.Outcome) { step("outer") })
		x.OnUnwound(func(exchange.Outcome) { step("inner") })
		x.Expect([]byte(start))
		io.WriteString(w, start)
		flush(w)
		if !x.Detach(func(bool) { step("stream") }) {
			t.Error("Detach refused")
		}
		step("chain")
	})
	if want := []string{"start", "chain", "inner", "outer", "stream"}; !slices.Equal(steps, want) {
		t.Errorf("got %q, want %q", steps, want)
	}
}

func TestHost_CountsEnds(t *testing.T) {
	var h exchange.Host
	if got := h.Ends(); len(got) != 0 {
		t.Errorf("Ends() of a new host = %v, want none", got)
	}
	reasons := map[engine.EndKind]error{
		engine.EndPeerGone: engine.ErrPeerGone, engine.EndStalled: engine.ErrStalled, engine.EndShutdown: engine.ErrShutdown,
		engine.EndCut: engine.ErrCut, engine.EndAbandoned: engine.ErrAbandoned, engine.EndFinished: nil,
	}
	want := make(map[engine.EndKind]int64)
	for i, kind := range engine.EndKinds() {
		reason, known := reasons[kind]
		if !known {
			reason = kinded(kind)
		}
		for range i + 1 {
			h.Ended(engine.End{Reason: reason})
		}
		want[kind] = int64(i + 1)
	}
	if got := h.Ends(); fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("Ends() = %v, want %v", got, want)
	}
	s := new(nullStream)
	for range 2 {
		if err := h.Add(s, netip.Addr{}); err != nil {
			t.Fatal(err)
		}
		h.Remove(s)
	}
	h.Drain()
	_ = h.Add(s, netip.Addr{}) // refused
	if got := h.Opened(); got != 2 {
		t.Errorf("Opened() = %d, want 2", got)
	}
}

// kinded is a reason that says its kind.
type kinded engine.EndKind

func (k kinded) Error() string           { return string(k) }
func (k kinded) EndKind() engine.EndKind { return engine.EndKind(k) }
