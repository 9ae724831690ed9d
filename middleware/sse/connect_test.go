package sse_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/goceleris/celeris/celeristest"
	"github.com/goceleris/celeris/middleware/sse"
)

// answer is what a scripted server does with one request.
type answer func(w http.ResponseWriter, r *http.Request)

// script is a server that gives one answer after the other, and the last one for ever.
type script struct {
	answers []answer

	mu       sync.Mutex // guards requests
	requests []string   // method, last event ID and body of each
	times    []time.Time
}

func (s *script) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	s.mu.Lock()
	n := min(len(s.requests), len(s.answers)-1)
	s.requests = append(s.requests, strings.TrimRight(fmt.Sprint(r.Method, " ", r.Header.Get("Last-Event-Id"), " ", string(body)), " "))
	s.times = append(s.times, time.Now())
	s.mu.Unlock()
	s.answers[n](w, r)
}

// asked returns what was asked for.
func (s *script) asked() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.requests)
}

// pauses returns the time between requests.
func (s *script) pauses() (all []time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := 1; i < len(s.times); i++ {
		all = append(all, s.times[i].Sub(s.times[i-1]))
	}
	return all
}

// says is a stream that ends in order.
func says(stream string) answer {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		io.WriteString(w, stream)
	}
}

// breaks is a stream whose connection breaks.
func breaks(stream string) answer {
	return func(w http.ResponseWriter, r *http.Request) {
		says(stream)(w, r)
		w.(http.Flusher).Flush()
		panic(http.ErrAbortHandler)
	}
}

// stays is a stream that goes on in silence until the client leaves.
func stays(stream string) answer {
	return func(w http.ResponseWriter, r *http.Request) {
		says(stream)(w, r)
		w.(http.Flusher).Flush()
		<-r.Context().Done()
	}
}

func status(code int, header ...string) answer {
	return func(w http.ResponseWriter, _ *http.Request) {
		for i := 0; i < len(header); i += 2 {
			w.Header().Set(header[i], header[i+1])
		}
		w.WriteHeader(code)
		if code != http.StatusNoContent {
			io.WriteString(w, "because\n")
		}
	}
}

// connect opens a source at a server that follows a script, in a bubble.
func connect(t *testing.T, o sse.ConnectOptions, answers ...answer) (*sse.EventSource, *script) {
	t.Helper()
	s := &script{answers: answers}
	site := celeristest.Serve(t, s, nil)
	o.Client = site.Client()
	r, err := http.NewRequest(http.MethodGet, site.URL("/"), nil)
	if err != nil {
		t.Fatal(err)
	}
	return sse.Connect(t.Context(), r, &o), s
}

// plain is the data of events.
func plain(events []sse.Event) (all []string) {
	for _, e := range events {
		all = append(all, e.Data)
	}
	return all
}

const (
	three = "retry: 10\n\nid: 1\ndata: a\n\nid: 2\ndata: b\n\n"
	gone  = http.StatusNoContent
)

func TestConnect_Resumes(t *testing.T) {
	for name, tt := range map[string]struct {
		options sse.ConnectOptions
		answers []answer
		data    []string
		asked   []string
	}{
		"204 ends at once":           {sse.ConnectOptions{}, []answer{status(gone)}, nil, []string{"GET"}},
		"end of the response":        {sse.ConnectOptions{}, []answer{says(three), status(gone)}, []string{"a", "b"}, []string{"GET", "GET 2"}},
		"broken connection":          {sse.ConnectOptions{}, []answer{breaks(three), status(gone)}, []string{"a", "b"}, []string{"GET", "GET 2"}},
		"no head at all":             {sse.ConnectOptions{}, []answer{breaks(""), status(gone)}, nil, []string{"GET", "GET"}},
		"event cut off":              {sse.ConnectOptions{}, []answer{breaks(three + "id: 3\ndata: c\n"), says("id: 3\ndata: c\n\n"), status(gone)}, []string{"a", "b", "c"}, []string{"GET", "GET 2", "GET 3"}},
		"id alone":                   {sse.ConnectOptions{}, []answer{says("id: 7\n\n"), status(gone)}, nil, []string{"GET", "GET 7"}},
		"id taken back":              {sse.ConnectOptions{}, []answer{says("id: 7\n\nid\n\n"), status(gone)}, nil, []string{"GET", "GET"}},
		"id outlives the stream":     {sse.ConnectOptions{}, []answer{says("id: 7\n\n"), says("data: a\n\n"), status(gone)}, []string{"a"}, []string{"GET", "GET 7", "GET 7"}},
		"id from before":             {sse.ConnectOptions{LastEventID: "x y"}, []answer{status(gone)}, nil, []string{"GET x y"}},
		"id beyond ASCII":            {sse.ConnectOptions{LastEventID: "é"}, []answer{status(gone)}, nil, []string{"GET é"}},
		"content type with charset":  {sse.ConnectOptions{}, []answer{typed("Text/Event-Stream; charset=latin1", "data: a\n\n"), status(gone)}, []string{"a"}, []string{"GET", "GET"}},
		"content type badly written": {sse.ConnectOptions{}, []answer{typed("text/event-stream; charset=", "data: a\n\n"), status(gone)}, []string{"a"}, []string{"GET", "GET"}},
		"redirect": {sse.ConnectOptions{LastEventID: "4"}, []answer{status(301, "Location", "/there"), says("data: a\n\n"), status(gone)},
			[]string{"a"}, []string{"GET 4", "GET 4", "GET 4"}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				source, server := connect(t, tt.options, tt.answers...)
				events, err := readAll(source.Events())
				if err != nil {
					t.Errorf("error %v, want none", err)
				}
				equal(t, "data", plain(events), tt.data...)
				equal(t, "requests", server.asked(), tt.asked...)
			})
		})
	}
}

func typed(contentType, stream string) answer {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", contentType)
		io.WriteString(w, stream)
	}
}

func TestConnect_FinalErrors(t *testing.T) {
	response := func(code int, contentType string) func(error) bool {
		return func(err error) bool {
			e, ok := errors.AsType[*sse.ResponseError](err)
			return ok && e.StatusCode == code && e.Header.Get("Content-Type") == contentType && string(e.Body) == "because\n"
		}
	}
	wraps := func(target error) func(error) bool {
		return func(err error) bool { return errors.Is(err, target) }
	}
	long := strings.Repeat("x", 100)
	for name, tt := range map[string]struct {
		options sse.ConnectOptions
		answers []answer
		data    []string
		is      func(error) bool
	}{
		"404":                     {sse.ConnectOptions{}, []answer{status(404, "Content-Type", "text/plain")}, nil, response(404, "text/plain")},
		"503":                     {sse.ConnectOptions{}, []answer{status(503, "Content-Type", "a/b")}, nil, response(503, "a/b")},
		"206":                     {sse.ConnectOptions{}, []answer{status(206, "Content-Type", "text/event-stream")}, nil, response(206, "text/event-stream")},
		"404 later":               {sse.ConnectOptions{}, []answer{says(three), status(404, "Content-Type", "a/b")}, []string{"a", "b"}, response(404, "a/b")},
		"404 is not temporary":    {sse.ConnectOptions{RetryStatus: sse.IsTemporary}, []answer{status(404, "Content-Type", "a/b")}, nil, response(404, "a/b")},
		"content type":            {sse.ConnectOptions{}, []answer{status(200, "Content-Type", "text/html")}, nil, response(200, "text/html")},
		"content type, whichever": {sse.ConnectOptions{RetryStatus: func(int) bool { return true }}, []answer{status(200, "Content-Type", "text/html")}, nil, response(200, "text/html")},
		"redirect without end":    {sse.ConnectOptions{MaxAttempts: 1}, []answer{status(302, "Location", "/")}, nil, func(err error) bool { return strings.Contains(fmt.Sprint(err), "10 redirects") }},
		"redirect to nowhere":     {sse.ConnectOptions{}, []answer{status(304, "Content-Type", "a/b")}, nil, func(err error) bool { _, ok := errors.AsType[*sse.ResponseError](err); return ok }},
		"event too large":         {sse.ConnectOptions{MaxEventBytes: 99}, []answer{says("data: a\n\ndata: b\ndata: " + long + "\n\n")}, []string{"a"}, wraps(sse.ErrEventTooLarge)},
		"line too long":           {sse.ConnectOptions{MaxEventBytes: 99}, []answer{stays("data: a\n\nid: " + long)}, []string{"a"}, wraps(sse.ErrEventTooLarge)},
		"id no header carries":    {sse.ConnectOptions{}, []answer{says("id: \x01\ndata: a\n\n")}, []string{"a"}, wraps(sse.ErrUnsendableID)},
		"too many attempts":       {sse.ConnectOptions{MaxAttempts: 3, RetryStatus: sse.IsTemporary}, []answer{status(502, "Content-Type", "a/b")}, nil, response(502, "a/b")},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				source, server := connect(t, tt.options, tt.answers...)
				events, err := readAll(source.Events())
				if !tt.is(err) {
					t.Errorf("error %v", err)
				}
				equal(t, "data", plain(events), tt.data...)
				if n := tt.options.MaxAttempts; n > 1 && len(server.asked()) != n {
					t.Errorf("%d attempts, want %d", len(server.asked()), n)
				}
				if source.ReadyState() != sse.ReadyStateClosed {
					t.Errorf("state %v, want closed", source.ReadyState())
				}
			})
		})
	}
}

func TestConnect_RefusesWhatCannotBeAsked(t *testing.T) {
	for _, url := range []string{"/path", "ftp://example.com/"} {
		r, err := http.NewRequest(http.MethodGet, url, nil)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := readAll(sse.Connect(t.Context(), r, nil).Events()); err == nil {
			t.Errorf("%s: no error", url)
		}
	}
}

func TestConnect_WaitsAsLongAsTheServerSays(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		source, server := connect(t, sse.ConnectOptions{Retry: 5 * time.Second, Backoff: time.Millisecond},
			says("data: a\n\n"), says("retry: 700\n"), says("retry: 0\n\n"), says(""), status(gone))
		if _, err := readAll(source.Events()); err != nil {
			t.Error(err)
		}
		for i, least := range []time.Duration{5 * time.Second, 700 * time.Millisecond, 0, 0} {
			if got := server.pauses()[i]; got < least || got >= least+time.Millisecond {
				t.Errorf("pause %d is %v, want %v and less than a millisecond more", i, got, least)
			}
		}
		if source.Retry() != 0 {
			t.Errorf("Retry = %v, want 0", source.Retry())
		}
	})
}

func TestConnect_BacksOffWithFullJitter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const retry, backoff, most = time.Second, 2 * time.Second, 20 * time.Second
		var told []sse.Reconnect
		unavailable := slices.Repeat([]answer{status(503)}, 60)
		source, server := connect(t, sse.ConnectOptions{
			Retry: retry, Backoff: backoff, MaxBackoff: most, RetryStatus: sse.IsTemporary,
			OnReconnect: func(r sse.Reconnect) { told = append(told, r) },
		}, slices.Concat(unavailable, []answer{says("id: 1\n\n"), status(503), status(gone)})...)
		if _, err := readAll(source.Events()); err != nil {
			t.Error(err)
		}
		var early, late int
		for i, pause := range server.pauses() {
			failed := i + 1
			switch i {
			case 60:
				failed = 0 // the stream was open
			case 61:
				failed = 1
			}
			limit := retry + min(most, backoff<<min(failed, 10))
			if pause < retry || pause >= limit {
				t.Errorf("pause %d is %v, want %v to %v", i, pause, retry, limit)
			}
			if r := told[i]; r.Failed != failed || r.Wait != pause {
				t.Errorf("told %+v of pause %d of %v after %d failures", r, i, pause, failed)
			}
			if i >= 4 && i < 60 {
				if pause < retry+most/4 {
					early++
				}
				if pause > retry+3*most/4 {
					late++
				}
			}
		}
		if early == 0 || late == 0 { // 56 pauses: by chance in one run of 5 million
			t.Errorf("%d early and %d late pauses of 56: the jitter is not full", early, late)
		}
		if r := told[60]; !errors.Is(r.Err, io.EOF) || r.LastEventID != "1" {
			t.Errorf("told %+v of the stream's end", r)
		}
	})
}

func TestConnect_RetryAfter(t *testing.T) {
	for name, tt := range map[string]struct {
		value string
		least time.Duration
	}{
		"seconds":   {"120", 2 * time.Minute},
		"date":      {"", 90 * time.Second},
		"past":      {"Sat, 02 Jan 1999 15:04:05 GMT", 0},
		"malformed": {"-5", 0},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				if name == "date" {
					tt.value = time.Now().Add(tt.least).UTC().Format(http.TimeFormat)
				}
				source, server := connect(t, sse.ConnectOptions{Retry: time.Millisecond, Backoff: 1, RetryStatus: sse.IsTemporary},
					status(429, "Retry-After", tt.value), status(gone))
				if _, err := readAll(source.Events()); err != nil {
					t.Error(err)
				}
				if got := server.pauses()[0]; got < tt.least || got > tt.least+time.Second {
					t.Errorf("waited %v, want %v", got, tt.least)
				}
			})
		})
	}
}

func TestConnect_Bodies(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := &script{answers: []answer{says(three), breaks(""), status(gone)}}
		site := celeristest.Serve(t, server, nil)
		post := func(body io.Reader) *sse.EventSource {
			r, err := http.NewRequest(http.MethodPost, site.URL("/"), body)
			if err != nil {
				t.Fatal(err)
			}
			return sse.Connect(t.Context(), r, &sse.ConnectOptions{Client: site.Client()})
		}
		if _, err := readAll(post(strings.NewReader("question")).Events()); err != nil {
			t.Error(err)
		}
		equal(t, "requests", server.asked(), "POST  question", "POST 2 question", "POST 2 question")

		server.answers, server.requests = []answer{says(three)}, nil
		source := post(io.MultiReader(strings.NewReader("question"))) // has no GetBody
		events, err := readAll(source.Events())
		is(t, "the answer is over", err, sse.ErrBodyUsed)
		is(t, "because", err, io.EOF)
		equal(t, "data", plain(events), "a", "b")
		_, err = readAll(source.Events())
		is(t, "once more", err, sse.ErrBodyUsed)
		equal(t, "requests", server.asked(), "POST  question")
	})
}

func TestConnect_IdleTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var told []error
		source, server := connect(t, sse.ConnectOptions{
			Retry: 1, Backoff: 1, IdleTimeout: 10 * time.Second,
			OnReconnect: func(r sse.Reconnect) { told = append(told, r.Err) },
		},
			func(w http.ResponseWriter, r *http.Request) { // heartbeats keep it
				for range 5 {
					says(":\n")(w, r)
					w.(http.Flusher).Flush()
					time.Sleep(9 * time.Second)
				}
				stays("id: 5\n\n")(w, r)
			},
			func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }, // no head
			stays("data: a\n\ndata: b\n\n"),
			status(gone),
		)
		var data []string
		for event, err := range source.Events() {
			if err != nil {
				t.Fatal(err)
			}
			data = append(data, event.Data)
			time.Sleep(time.Minute) // the reader's time is not the server's
		}
		equal(t, "data", data, "a", "b")
		equal(t, "requests", server.asked(), "GET", "GET 5", "GET 5", "GET 5")
		for _, err := range told {
			is(t, "told", err, sse.ErrIdleTimeout)
		}
		if got := server.pauses()[0]; got < 55*time.Second || got > 56*time.Second {
			t.Errorf("the first stream lasted %v, want 55s", got)
		}
	})
}

func TestConnect_EndsWithItsContext(t *testing.T) {
	reason := errors.New("enough")
	for name, answers := range map[string][]answer{
		"in a silent stream": {stays(three)},
		"before the head":    {func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }},
		"in a wait":          {says("retry: 3600000\n\n")},
		"in an error's body": {func(w http.ResponseWriter, r *http.Request) {
			w.WriteHeader(503)
			w.(http.Flusher).Flush()
			<-r.Context().Done()
		}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				server := &script{answers: answers}
				site := celeristest.Serve(t, server, nil)
				r, err := http.NewRequest(http.MethodGet, site.URL("/"), nil)
				if err != nil {
					t.Fatal(err)
				}
				ctx, cancel := context.WithCancelCause(t.Context())
				source := sse.Connect(ctx, r, &sse.ConnectOptions{Client: site.Client()})
				time.AfterFunc(500*time.Millisecond, func() { cancel(reason) })
				start := time.Now()
				_, err = readAll(source.Events())
				is(t, "error", err, reason)
				if took := time.Since(start); took > time.Second {
					t.Errorf("ended after %v", took)
				}
			})
		})
	}
}

func TestConnect_StatesAndTheirTelling(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var source *sse.EventSource
		var states []string
		note := func(when string) { states = append(states, when+" "+source.ReadyState().String()) }
		source, _ = connect(t, sse.ConnectOptions{
			OnOpen:      func(r *http.Response) { note("opened " + r.Header.Get("X-Name")) },
			OnReconnect: func(sse.Reconnect) { note("wait") },
		}, func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("X-Name", "first")
			says(three)(w, r)
		}, status(gone))
		note("before")
		for event := range source.Events() {
			note(event.Data)
		}
		note("after")
		equal(t, "states", states, "before closed", "opened first open", "a open", "b open", "wait connecting", "after closed")
	})
}

func TestConnect_TellsIDsThatComeWithoutAnEvent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		server := &script{answers: []answer{stays("retry: 42\nid: 9\n\n")}}
		site := celeristest.Serve(t, server, nil)
		r, err := http.NewRequest(http.MethodGet, site.URL("/"), nil)
		if err != nil {
			t.Fatal(err)
		}
		source := sse.Connect(ctx, r, &sse.ConnectOptions{Client: site.Client()})
		ended := make(chan error)
		go func() {
			_, err := readAll(source.Events())
			ended <- err
		}()
		synctest.Wait()
		if source.LastEventID() != "9" || source.Retry() != 42*time.Millisecond || source.ReadyState() != sse.ReadyStateOpen {
			t.Errorf("id %q, retry %v, state %v", source.LastEventID(), source.Retry(), source.ReadyState())
		}
		cancel()
		is(t, "end", <-ended, context.Canceled)
	})
}

func TestConnect_LeavingTheLoopClosesAndRangingAgainGoesOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		left := make(chan struct{}, 1)
		source, server := connect(t, sse.ConnectOptions{}, func(w http.ResponseWriter, r *http.Request) {
			stays(three)(w, r)
			left <- struct{}{}
		}, says("id: 2\ndata: b\n\n"), status(gone))
		for event, err := range source.Events() {
			if err != nil || event.Data != "a" {
				t.Errorf("event %+v, %v", event, err)
			}
			break
		}
		<-left
		events, err := readAll(source.Events())
		if err != nil {
			t.Error(err)
		}
		equal(t, "data", plain(events), "b")
		equal(t, "requests", server.asked(), "GET", "GET 1", "GET 2")
	})
}

func TestConnect_OneLoopAtATime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		source, _ := connect(t, sse.ConnectOptions{}, stays(three))
		for range source.Events() {
			func() {
				defer func() {
					if recover() == nil {
						t.Error("a second loop did not panic")
					}
				}()
				for range source.Events() {
					break
				}
			}()
			break
		}
	})
}

func TestConnect_APanicOfTheLoopClosesTheConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		left := make(chan struct{}, 1)
		source, _ := connect(t, sse.ConnectOptions{}, func(w http.ResponseWriter, r *http.Request) {
			stays(three)(w, r)
			left <- struct{}{}
		})
		func() {
			defer func() { _ = recover() }()
			for range source.Events() {
				panic("of the loop")
			}
		}()
		<-left
		if source.ReadyState() != sse.ReadyStateClosed {
			t.Errorf("state %v, want closed", source.ReadyState())
		}
	})
}

func TestConnect_NegativeOptionsPanic(t *testing.T) {
	r, err := http.NewRequest(http.MethodGet, "http://example.com/", nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, o := range []sse.ConnectOptions{{MaxEventBytes: -1}, {Retry: -1}, {Backoff: -1}, {MaxBackoff: -1}, {MaxAttempts: -1}, {IdleTimeout: -1}} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%+v did not panic", o)
				}
			}()
			sse.Connect(t.Context(), r, &o)
		}()
	}
}
