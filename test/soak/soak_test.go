//go:build linux

package main

import (
	"bytes"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/goceleris/celeris/engine"
	"github.com/goceleris/celeris/internal/leak"
)

func TestMain(m *testing.M) {
	if os.Getenv(clientVariable) != "" {
		main()
		return
	}
	leak.Main(m)
}

func TestSoak(t *testing.T) {
	for _, tt := range []struct {
		kind   kind
		engine engine.Kind
	}{{kindSSE, engine.Epoll}, {kindSSE, engine.Std}, {kindWS, engine.Epoll}, {kindWS, engine.Std}} {
		t.Run(string(tt.kind)+"/"+string(tt.engine), func(t *testing.T) {
			cfg := config{kind: tt.kind, engine: tt.engine, time: 4 * time.Second, streams: 100, log: t.Output()}
			if testing.Short() {
				cfg.time = 2 * time.Second
			}
			r, err := run(t.Context(), cfg, func() *exec.Cmd { return exec.Command(os.Args[0]) })
			if err != nil {
				t.Fatal(err)
			}
			t.Log(r)
			if err := r.judge(); err != nil {
				t.Error(err)
			}
		})
	}
}

// What a client must not see is reported, and so is what is left in the server.
func TestReport(t *testing.T) {
	good := func() *report {
		m := measurement{10, 20, 30 << 20}
		return &report{tally: tally{Churned: 1, Delivered: 1, Stalled: 1}, Streams: 100, start: m, end: m}
	}
	if err := good().judge(); err != nil {
		t.Fatal(err)
	}
	for name, spoil := range map[string]func(r *report){
		"gap":        func(r *report) { r.Gaps++ },
		"duplicate":  func(r *report) { r.Duplicates++ },
		"unfinished": func(r *report) { r.Unfinished++ },
		"example":    func(r *report) { r.Examples = append(r.Examples, "odd") },
		"nothing":    func(r *report) { r.Delivered = 0 },
		"streams":    func(r *report) { r.Left = 1 },
		"goroutines": func(r *report) { r.end.goroutines++ },
		"fds":        func(r *report) { r.end.fds++ },
		"heap":       func(r *report) { r.end.heap += 2 << 20 },
		"echoes":     func(r *report) { r.Kind, r.Inflated = kindWS, 1 },
		"deflated":   func(r *report) { r.Kind, r.Echoed = kindWS, 1 },
	} {
		r := good()
		spoil(r)
		if r.judge() == nil {
			t.Errorf("%s: nothing is wrong", name)
		}
	}
}

func TestClient(t *testing.T) {
	head := "HTTP/1.1 200 OK\r\nDate: x\r\n\r\n"
	event := func(id, n, word string) string { return "id: E-" + id + "\ndata: t1 " + n + " " + word + " xx\n\n" }
	for _, tt := range []struct {
		name, text string
		want       tally
		ended      bool
		err        string
	}{
		{"in order", event("1", "7", "a") + event("2", "8", "b") + "id: E-3\n\n: beat\n\n" + event("4", "9", end), tally{Delivered: 3}, true, ""},
		{"gap", event("1", "7", "a") + event("3", "9", "b"), tally{Delivered: 2, Gaps: 1}, false, ""},
		{"twice", event("1", "7", "a") + event("1", "7", "a"), tally{Delivered: 2, Duplicates: 1}, false, ""},
		{"told", event("1", "7", "a") + "id: E-5\nevent: resync\ndata: {}\n\n" + event("9", "20", "b"), tally{Delivered: 2, Resyncs: 1}, false, ""},
		{"somebody else's", "id: E-1\ndata: t2 1 a x\n\n", tally{}, false, "t2 1"},
	} {
		c := &client{orders: orders{Topics: 3}, i: 1}
		var err error
		for _, b := range []byte(head + tt.text) {
			if err == nil {
				err = c.feed([]byte{b})
			}
		}
		if tt.err != "" {
			if err == nil || !strings.Contains(err.Error(), tt.err) {
				t.Errorf("%s: %v, want %s", tt.name, err, tt.err)
			}
			continue
		}
		c.Examples = nil
		if err != nil || c.Delivered != tt.want.Delivered || c.Gaps != tt.want.Gaps || c.Duplicates != tt.want.Duplicates ||
			c.Resyncs != tt.want.Resyncs || c.ended != tt.ended {
			t.Errorf("%s: %+v, %v, %v", tt.name, c.tally, c.ended, err)
		}
	}
	if err := new(client).feed([]byte("HTTP/1.1 503 no\r\n")); err == nil {
		t.Error("a refusal is taken for a stream")
	}
	if err := runClients(bytes.NewBufferString("nonsense"), new(bytes.Buffer)); err == nil {
		t.Error("nonsense is obeyed")
	}
}
