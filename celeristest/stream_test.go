package celeristest_test

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/goceleris/celeris"
	"github.com/goceleris/celeris/celeristest"
	"github.com/goceleris/celeris/middleware/sse"
)

func TestStream_ReadsEventsToTheEnd(t *testing.T) {
	inBubbles(t, func(t *testing.T, o celeristest.Options) {
		const body = ": hello\nretry: 7000\n\nid: 1\nevent: e\ndata: a\n\ndata: b\ndata: c\n\nid: 2\n\ndata: cut"
		stream := celeristest.Serve(t, text(body, nil), &o).Stream(t, "/", nil)
		var got []sse.Event
		for e, err := range stream.Events() {
			if err != nil {
				t.Error(err)
			}
			got = append(got, e)
		}
		want := []sse.Event{{ID: "1", Event: "e", Data: "a", Retry: 7 * time.Second}, {ID: "1", Data: "b\nc"}}
		if fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("events %+v, want %+v", got, want)
		}
		if stream.LastEventID() != "2" || stream.Retry() != 7*time.Second || stream.Raw() != body || stream.Raw() != "" {
			t.Errorf("id %q, retry %v, and the text differs or was there twice", stream.LastEventID(), stream.Retry())
		}
		for range 2 {
			if e, err := stream.Next(); err != io.EOF {
				t.Errorf("Next = %+v, %v, want %v", e, err, io.EOF)
			}
		}
		if res := stream.Response(); res.StatusCode != http.StatusOK || res.ProtoMajor != 1 != o.H2C {
			t.Errorf("response %s %s", res.Proto, res.Status)
		}
	})
}

func TestStream_TakesWhatArrives(t *testing.T) {
	inBubbles(t, func(t *testing.T, o celeristest.Options) {
		app, broker := newApp(t)
		stream := celeristest.Serve(t, app, &o).Stream(t, "/events", nil)
		publish := func(data string) string {
			p, err := broker.Publish(t.Context(), sse.Event{Data: data})
			if err != nil {
				t.Fatal(err)
			}
			return p.ID()
		}
		publish("a")
		publish("b")
		last := publish("c")
		synctest.Wait()
		if got := stream.LastEventID(); got != last {
			t.Errorf("last id %q before any event was taken, want %q", got, last)
		}
		for e, err := range stream.Events() {
			if err != nil || e.Data != "a" {
				t.Errorf("first event %+v, %v", e, err)
			}
			break
		}
		if got := datas(stream.Arrived()); got != "b c" {
			t.Errorf("arrived: %q, want the two that were not taken", got)
		}
		if got := stream.Arrived(); len(got) != 0 {
			t.Errorf("arrived again: %v", got)
		}
	})
}

func TestStream_IDsWithoutEventsAreRemembered(t *testing.T) {
	inBubbles(t, func(t *testing.T, o celeristest.Options) {
		stream := celeristest.Serve(t, text("id: 5\nretry: 1000\n\n", make(chan struct{})), &o).Stream(t, "/", nil)
		synctest.Wait()
		if stream.LastEventID() != "5" || stream.Retry() != time.Second {
			t.Errorf("id %q, retry %v, want 5 and 1s", stream.LastEventID(), stream.Retry())
		}
	})
}

func TestNext_GivesUpAfterItsPatience(t *testing.T) {
	inBubbles(t, func(t *testing.T, o celeristest.Options) {
		app, broker := newApp(t)
		site := celeristest.Serve(t, app, &o)
		for patience, want := range map[time.Duration]time.Duration{0: time.Minute, time.Hour: time.Hour} {
			stream := site.Stream(t, "/events", &celeristest.StreamOptions{Patience: patience})
			begin := time.Now()
			_, err := stream.Next()
			is(t, "a quiet stream", err, celeristest.ErrNoEvent)
			if took := time.Since(begin); took != want {
				t.Errorf("it took %v, want %v", took, want)
			}
			n := 0
			for _, err := range stream.Events() {
				is(t, "the only step", err, celeristest.ErrNoEvent)
				n++
			}
			if n != 1 {
				t.Errorf("%d steps, want one with an error", n)
			}
			if _, err := broker.Publish(t.Context(), sse.Event{Data: "late"}); err != nil {
				t.Error(err)
			}
			if e, err := stream.Next(); err != nil || e.Data != "late" {
				t.Errorf("then %+v, %v", e, err)
			}
		}
	})
}

func TestStream_SendsWhatItIsTold(t *testing.T) {
	inBubbles(t, func(t *testing.T, o celeristest.Options) {
		h := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			b, _ := io.ReadAll(r.Body)
			hd := r.Header
			text(fmt.Sprintf("retry: 1\ndata: %s %s %s|%s|%s|%s|%s\n\n", r.Method, r.URL.Path, b,
				hd["Accept"], hd["Sec-Fetch-Mode"], hd["Last-Event-Id"], hd["X-A"]), nil)(w, r)
		})
		site := celeristest.Serve(t, h, &o)
		for _, tt := range []struct {
			opts *celeristest.StreamOptions
			want string
		}{
			{nil, "GET /a |[text/event-stream]|[cors]|[]|[]"},
			{&celeristest.StreamOptions{LastEventID: "7"}, "GET /a |[text/event-stream]|[cors]|[7]|[]"},
			{&celeristest.StreamOptions{
				Method: "POST", Body: "{}", Header: http.Header{"X-A": {"1"}, "Sec-Fetch-Mode": nil, "Accept": {"*/*"}},
			}, "POST /a {}|[*/*]|[]|[]|[1]"},
		} {
			stream := site.Stream(t, "/a", tt.opts)
			for range 2 { // a reconnect sends the same
				if e, err := stream.Next(); err != nil || e.Data != tt.want {
					t.Errorf("got %+v, %v, want %q", e, err, tt.want)
				}
				if err := stream.Resume(); err != nil {
					t.Fatal(err)
				}
			}
		}
	})
}

func TestStream_FailsWithWhatCameInstead(t *testing.T) {
	inBubbles(t, func(t *testing.T, o celeristest.Options) {
		app := quiet()
		app.GET("/json", func(c *celeris.Context) error { return c.JSON(http.StatusOK, []int{1}) })
		app.GET("/silent", func(c *celeris.Context) error { <-c.Request().Context().Done(); return nil })
		app.GET("/endless", func(c *celeris.Context) error {
			c.Response().Header().Set("Content-Type", "text/plain")
			fmt.Fprint(c.Response(), "tick")
			_ = http.NewResponseController(c.Response()).Flush()
			<-c.Request().Context().Done()
			return nil
		})
		for path, want := range map[string][]string{
			"/none":    {"GET http://celeris.test/none", "404 Not Found"},
			"/json":    {"200 OK", `"application/json`, `"[1]"`},
			"/silent":  {"GET http://celeris.test/silent", "has to flush it"},
			"/endless": {"text/plain", `"tick"`},
		} {
			h := http.HandlerFunc(app.ServeHTTP) // a Server can be served only once
			wantFailure(t, try(t, func(t testing.TB) { celeristest.Serve(t, h, &o).Stream(t, path, nil) }), want...)
		}
	})
}

func TestStream_MethodsWorkAfterTheEnd(t *testing.T) {
	inBubbles(t, func(t *testing.T, o celeristest.Options) {
		stream := celeristest.Serve(t, text("data: a\n\ndata: b\n\n", make(chan struct{})), &o).Stream(t, "/", nil)
		synctest.Wait()
		stream.Close()
		stream.Close()
		stream.Hold()
		stream.Release()
		stream.Reset()
		stream.CutAfter(10)
		stream.CloseWrite()
		if e, err := stream.Next(); err != nil || e.Data != "a" {
			t.Errorf("what has arrived: %+v, %v", e, err)
		}
		if got := datas(stream.Arrived()); got != "b" {
			t.Errorf("what has arrived: %q", got)
		}
		_, err := stream.Next()
		is(t, "Next", err, net.ErrClosed)
		is(t, "Resume", stream.Resume(), net.ErrClosed)
	})
}

func TestRaw_KeepsTheNewest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		line := ":" + strings.Repeat("x", 1022) + "\n"
		body := strings.Repeat(line, 2500) + ": the end\n"
		stream := celeristest.Serve(t, text(body, nil), nil).Stream(t, "/", nil)
		synctest.Wait()
		if got := stream.Raw(); len(got) != 1<<20 || !strings.HasSuffix(got, line+": the end\n") {
			t.Errorf("%d bytes that end with %q", len(got), got[max(0, len(got)-20):])
		}
	})
}

func TestStream_EndsWhenNothingIsTaken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		app, broker := newApp(t)
		stream := celeristest.Serve(t, app, nil).Stream(t, "/events", nil)
		big := sse.Event{Data: strings.Repeat("x", 1<<20)}
		fill := func(n int) {
			for range n {
				if err := stream.Arrive(big); err != nil {
					t.Fatal(err)
				}
			}
		}
		fill(15)
		stream.Arrived() // this makes room
		fill(15)
		for range 10 { // and so does this
			if _, err := stream.Next(); err != nil {
				t.Fatal(err)
			}
		}
		fill(10)
		is(t, "at 16 MiB", stream.Arrive(big), celeristest.ErrUnread)
		if _, err := broker.Publish(t.Context(), sse.Event{Data: "one more"}); err != nil {
			t.Error(err)
		}
		n := 0
		synctest.Wait()
		for _, err := range stream.Events() {
			if n++; err != nil {
				is(t, "the end", err, celeristest.ErrUnread)
			}
		}
		if n != 18 || broker.SubscriberCount("") != 0 {
			t.Errorf("%d steps and %d subscribers, want 17 events, an error, and none", n, broker.SubscriberCount(""))
		}
	})
}
