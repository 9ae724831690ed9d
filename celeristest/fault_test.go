package celeristest_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/goceleris/celeris/celeristest"
	"github.com/goceleris/celeris/middleware/sse"
)

func TestHold_RefusesTheServersWrites(t *testing.T) {
	inBubbles(t, func(t *testing.T, o celeristest.Options) {
		o.Buffer = 4 << 10
		wrote := 0
		h := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			text("", nil)(w, r)
			w.(http.Flusher).Flush()
			time.Sleep(time.Second)
			for wrote < 100 {
				fmt.Fprint(w, "data: "+strings.Repeat("x", 1016)+"\n\n")
				w.(http.Flusher).Flush()
				wrote++
			}
		})
		stream := celeristest.Serve(t, h, &o).Stream(t, "/", nil)
		stream.Hold()
		time.Sleep(time.Hour)
		synctest.Wait()
		if got := len(stream.Arrived()); got > 0 || wrote < 1 || wrote > 20 {
			t.Errorf("the server wrote %d KiB, %d of them have arrived; want a few, and none", wrote, got)
		}
		stream.Release()
		synctest.Wait()
		if got := len(stream.Arrived()); got != 100 || wrote != 100 {
			t.Errorf("after Release the server wrote %d KiB, %d of them have arrived, want 100", wrote, got)
		}
	})
}

func TestHold_EndsWithTheTest(t *testing.T) {
	inBubbles(t, func(t *testing.T, o celeristest.Options) {
		app, broker := newApp(t)
		if failures := try(t, func(t testing.TB) {
			stream := celeristest.Serve(t, app, &o).Stream(t, "/events", nil)
			stream.Hold()
			for range 300 {
				_, _ = broker.Publish(t.Context(), sse.Event{Data: strings.Repeat("x", 1000)})
			}
			synctest.Wait()
		}); len(failures) != 0 {
			t.Errorf("failures %q", failures)
		}
	})
}

func TestCutAfter_CutsAtTheByte(t *testing.T) {
	const body = "id: 1\ndata: a\n\nid: 2\ndata: b\n\n" // 15 bytes each
	for n := range len(body) + 2 {
		inBubbles(t, func(t *testing.T, o celeristest.Options) {
			next := make(chan struct{})
			h := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				text(": before\n", nil)(w, r)
				w.(http.Flusher).Flush()
				<-next
				for _, part := range []string{body[:7], body[7:]} {
					fmt.Fprint(w, part)
					w.(http.Flusher).Flush()
					time.Sleep(time.Second)
				}
				<-r.Context().Done()
			})
			stream := celeristest.Serve(t, h, &o).Stream(t, "/", nil)
			synctest.Wait()
			if got := stream.Raw(); got != ": before\n" {
				t.Fatalf("opening %q", got)
			}
			stream.CutAfter(n)
			close(next)
			time.Sleep(time.Minute)
			if got, want := stream.Raw(), body[:min(n, len(body))]; got != want {
				t.Errorf("after %d bytes: %q, want %q", n, got, want)
			}
			if got, want := len(stream.Arrived()), min(n, len(body))/15; got != want {
				t.Errorf("after %d bytes: %d events, want %d", n, got, want)
			}
			want := error(syscall.ECONNRESET)
			if n > len(body) {
				want = celeristest.ErrNoEvent
			}
			_, err := stream.Next()
			is(t, fmt.Sprintf("after %d bytes", n), err, want)
		})
	}
}

func TestCutAfter_TheServerSeesAReset(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, n := range []int{0, 5} {
			failed := make(chan error, 1)
			h := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				text("", nil)(w, r)
				out := http.NewResponseController(w)
				err := out.Flush()
				for err == nil {
					time.Sleep(time.Second)
					fmt.Fprint(w, ":")
					err = out.Flush()
				}
				failed <- err
			})
			stream := celeristest.Serve(t, h, nil).Stream(t, "/", nil)
			stream.CutAfter(n)
			is(t, fmt.Sprintf("a write after %d bytes", n), <-failed, syscall.ECONNRESET)
		}
	})
}

func TestCutAfter_RefusesNegativeNumbers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		stream := celeristest.Serve(t, text("data: a\n\n", nil), nil).Stream(t, "/", nil)
		defer func() {
			if v := fmt.Sprint(recover()); !strings.Contains(v, "CutAfter(-1)") {
				t.Errorf("panic %q, want one that says the number", v)
			}
		}()
		stream.CutAfter(-1)
	})
}

func TestStream_LeavesInEveryWay(t *testing.T) {
	for name, leave := range map[string]func(*celeristest.Stream){
		"reset": (*celeristest.Stream).Reset, "half-close": (*celeristest.Stream).CloseWrite, "close": (*celeristest.Stream).Close,
	} {
		t.Run(name, func(t *testing.T) {
			inBubbles(t, func(t *testing.T, o celeristest.Options) {
				app, broker := newApp(t)
				stream := celeristest.Serve(t, app, &o).Stream(t, "/events", nil)
				synctest.Wait()
				if n := broker.SubscriberCount(""); n != 1 {
					t.Errorf("%d subscribers before, want 1", n)
				}
				leave(stream)
				synctest.Wait()
				if n := broker.SubscriberCount(""); n != 0 {
					t.Errorf("%d subscribers after, want 0", n)
				}
			})
		})
	}
}

func TestReset_LosesWhatIsUnderWay(t *testing.T) {
	inBubbles(t, func(t *testing.T, o celeristest.Options) {
		app, broker := newApp(t)
		stream := celeristest.Serve(t, app, &o).Stream(t, "/events", nil)
		publish := func(data string) {
			if _, err := broker.Publish(t.Context(), sse.Event{Data: data}); err != nil {
				t.Error(err)
			}
			synctest.Wait()
		}
		publish("a")
		stream.Hold()
		publish("b")
		publish("c")
		stream.Reset()
		if got := datas(stream.Arrived()); got != "a" {
			t.Errorf("before Resume: %q, want a", got)
		}
		_, err := stream.Next()
		is(t, "Next", err, syscall.ECONNRESET)
		if err := stream.Resume(); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if got := datas(stream.Arrived()); got != "b c" {
			t.Errorf("after Resume: %q, want b c", got)
		}
	})
}

func TestResume_WaitsAsLongAsItWasTold(t *testing.T) {
	inBubbles(t, func(t *testing.T, o celeristest.Options) {
		bodies := []string{"data: a\n\n", "id: 1\nretry: 20000\n\n", "data: b\n\n", "id\ndata: c\n\n", "data: d\n\n"}
		var ids []string
		h := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			ids = append(ids, r.Header.Get("Last-Event-ID"))
			text(bodies[len(ids)-1], nil)(w, r)
		})
		stream := celeristest.Serve(t, h, &o).Stream(t, "/", nil)
		for i, want := range []time.Duration{3 * time.Second, 20 * time.Second, 20 * time.Second, 20 * time.Second} {
			synctest.Wait()
			begin := time.Now()
			if err := stream.Resume(); err != nil {
				t.Fatal(err)
			}
			if took := time.Since(begin); took != want {
				t.Errorf("reconnect %d took %v, want %v", i, took, want)
			}
		}
		synctest.Wait()
		if got := fmt.Sprintf("%q", ids); got != `["" "" "1" "1" ""]` {
			t.Errorf("last ids %s: one stays until the server sets another", got)
		}
		if got := datas(stream.Arrived()); got != "a b c d" { // over all connections
			t.Errorf("events %q", got)
		}
	})
}

func TestResume_SaysWhatCameInstead(t *testing.T) {
	inBubbles(t, func(t *testing.T, o celeristest.Options) {
		status := http.StatusOK
		h := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if status != http.StatusOK {
				http.Error(w, "come back later", status)
				return
			}
			text("data: a\n\n", nil)(w, r)
		})
		site := celeristest.Serve(t, h, &o)
		stream := site.Stream(t, "/", nil)
		synctest.Wait()
		status = http.StatusServiceUnavailable
		err := stream.Resume()
		if err == nil || !strings.Contains(err.Error(), "503") || !strings.Contains(err.Error(), "come back later") {
			t.Errorf("error %v, want one with the status and the body", err)
		}
		if e, err := stream.Next(); err != nil || e.Data != "a" {
			t.Errorf("what came before: %+v, %v", e, err)
		}
		if e, err := stream.Next(); err != io.EOF {
			t.Errorf("then %+v, %v, want %v", e, err, io.EOF)
		}
		status = http.StatusOK
		if err := stream.Resume(); err != nil {
			t.Error(err)
		}
		if e, err := stream.Next(); err != nil || e.Data != "a" {
			t.Errorf("after all: %+v, %v", e, err)
		}
		if err := site.Shutdown(t.Context()); err != nil {
			t.Error(err)
		}
		is(t, "resume at a server that is gone", stream.Resume(), net.ErrClosed)
	})
}

func TestResume_EndsWithClose(t *testing.T) {
	inBubbles(t, func(t *testing.T, o celeristest.Options) {
		stream := celeristest.Serve(t, text("retry: 86400000\n\n", nil), &o).Stream(t, "/", nil)
		synctest.Wait()
		begin, result := time.Now(), make(chan error, 1)
		go func() { result <- stream.Resume() }()
		time.Sleep(time.Hour)
		stream.Close()
		is(t, "Resume", <-result, net.ErrClosed)
		if took := time.Since(begin); took != time.Hour {
			t.Errorf("Close waited until %v, want an hour", took)
		}
	})
}

func TestStream_ManyGoroutines(t *testing.T) {
	inBubbles(t, func(t *testing.T, o celeristest.Options) {
		app, broker := newApp(t)
		stream := celeristest.Serve(t, app, &o).Stream(t, "/events", nil)
		const n = 100
		got := make(chan string, n)
		for range 4 {
			go func() {
				for e, err := range stream.Events() {
					if err != nil {
						return
					}
					got <- e.Data
				}
			}()
		}
		go func() {
			for range 50 {
				stream.Hold()
				_, _, _, _ = stream.LastEventID(), stream.Retry(), stream.Raw(), stream.Response()
				stream.Release()
			}
		}()
		for i := range n {
			if _, err := broker.Publish(context.Background(), sse.Event{Data: fmt.Sprint(i)}); err != nil {
				t.Error(err)
			}
		}
		seen := make(map[string]bool)
		for range n {
			seen[<-got] = true
		}
		if len(seen) != n {
			t.Errorf("%d different events, want %d", len(seen), n)
		}
		stream.Close()
	})
}
