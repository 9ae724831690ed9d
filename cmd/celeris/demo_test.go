package main

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"
)

// patience bounds every wait for something that must happen.
const patience = 20 * time.Second

// startDemo serves a demo in this process and returns its URL.
func startDemo(t *testing.T) string { return startDemoWith(t, standardPlan) }

// startDemoWith is startDemo with another plan for the slow reader.
func startDemoWith(t *testing.T, p plan) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	ctx, cancel := context.WithCancel(context.Background())
	go func() { ended <- serveDemo(ctx, listener, p, slog.New(slog.DiscardHandler)) }()
	t.Cleanup(func() {
		cancel()
		select {
		case err := <-ended:
			if err != nil {
				t.Errorf("serveDemo: %v", err)
			}
		case <-time.After(patience):
			t.Error("the demo does not end")
		}
	})
	return "http://" + listener.Addr().String()
}

// block is one block of an event stream as it came over the wire: field name to value.
type block map[string]string

// events reads a stream line by line, with no help from the code that wrote it.
type events struct {
	t     *testing.T
	scan  *bufio.Scanner
	close context.CancelFunc
}

func openEvents(t *testing.T, url, lastID string) *events {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	t.Cleanup(cancel)
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Accept", "text/event-stream")
	if lastID != "" {
		r.Header.Set("Last-Event-ID", lastID)
	}
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { response.Body.Close() })
	if got := response.Header.Get("Content-Type"); response.StatusCode != http.StatusOK || !strings.HasPrefix(got, "text/event-stream") {
		t.Fatalf("%s: status %d, Content-Type %q, want 200, text/event-stream", url, response.StatusCode, got)
	}
	return &events{t, bufio.NewScanner(response.Body), cancel}
}

// next returns the next block, nil at the end of the stream.
func (e *events) next() block {
	e.t.Helper()
	b := make(block)
	for e.scan.Scan() {
		line := e.scan.Text()
		if line == "" {
			return b
		}
		name, value, _ := strings.Cut(line, ":")
		b[name] = strings.TrimPrefix(value, " ")
	}
	if err := e.scan.Err(); err != nil {
		e.t.Fatalf("the stream broke: %v", err)
	}
	return nil
}

// payload returns the next event of the demo with its header, and nil at the end of the stream.
func (e *events) payload() (block, header) {
	e.t.Helper()
	for b := e.next(); b != nil; b = e.next() {
		if b["event"] != "vitals" && b["event"] != "stats" && b["event"] != "wall" {
			continue
		}
		var h header
		if err := json.Unmarshal([]byte(b["data"]), &h); err != nil {
			e.t.Fatalf("data %q: %v", b["data"], err)
		}
		return b, h
	}
	return nil, header{}
}

// rest returns all blocks up to the end of the stream.
func (e *events) rest() (all []block) {
	for b := e.next(); b != nil; b = e.next() {
		all = append(all, b)
	}
	return all
}

func TestEvents_CountWithoutAHole(t *testing.T) {
	stream := openEvents(t, startDemo(t)+"/events", "")
	if first := stream.next(); first["retry"] != "3000" || first["id"] == "" {
		t.Errorf("the stream begins with %v, want a retry of 3000 and an id", first)
	}
	kinds := make(map[string]int)
	_, before := stream.payload()
	for range 8 {
		b, h := stream.payload()
		if h.N != before.N+1 || h.Run != before.Run || h.T < before.T || b["id"] == "" {
			t.Errorf("after %+v came %+v in %v", before, h, b)
		}
		kinds[b["event"]]++
		before = h
	}
	if kinds["vitals"] == 0 || kinds["stats"] == 0 {
		t.Errorf("eight events were %v, want vitals and stats among them", kinds)
	}
}

func TestCut_EndsThisTabOnlyAndLosesNothing(t *testing.T) {
	url := startDemo(t)
	mine, other, anonymous := openEvents(t, url+"/events?tab=mine", ""), openEvents(t, url+"/events?tab=other", ""), openEvents(t, url+"/events", "")
	last, before := mine.payload()
	for _, s := range []*events{other, anonymous} {
		s.payload()
	}
	for _, nobody := range []string{"/cut", "/cut?tab=", "/cut?tab=nobody"} {
		if got := postCut(t, url+nobody); got != 0 {
			t.Errorf("POST %s cut %d streams, want 0", nobody, got)
		}
	}
	if got := postCut(t, url+"/cut?tab=mine"); got != 1 {
		t.Errorf("the cut ended %d streams, want 1", got)
	}

	for b, h := mine.payload(); b != nil; b, h = mine.payload() {
		last, before = b, h
	}
	resumed := openEvents(t, url+"/events?tab=mine", last["id"])
	for range 3 {
		_, h := resumed.payload()
		if h.N != before.N+1 {
			t.Errorf("after %d the resumed stream brought %d", before.N, h.N)
		}
		before = h
	}
	// The others have lived through it: they bring what was published after the cut.
	for name, s := range map[string]*events{"other": other, "anonymous": anonymous} {
		b, h := s.payload()
		for b != nil && h.N < before.N {
			b, h = s.payload()
		}
		if b == nil {
			t.Errorf("the stream of the %s client was cut as well", name)
		}
	}
}

func TestCut_TellsWhenToComeBack(t *testing.T) {
	url := startDemo(t)
	stream := openEvents(t, url+"/events?tab=mine", "")
	stream.payload()
	postCut(t, url+"/cut?tab=mine")
	all := stream.rest()
	if len(all) == 0 || all[len(all)-1]["retry"] != "5000" {
		t.Errorf("the stream ended with %v, want a block with retry 5000 last", all)
	}
}

func postCut(t *testing.T, url string) int {
	t.Helper()
	response, err := http.Post(url, "", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	var answer struct{ Cut *int }
	if err := json.NewDecoder(response.Body).Decode(&answer); err != nil || answer.Cut == nil || response.StatusCode != http.StatusOK {
		t.Fatalf("POST %s: status %d, %v", url, response.StatusCode, err)
	}
	return *answer.Cut
}

func TestStats_AreJSON(t *testing.T) {
	url := startDemo(t)
	stream := openEvents(t, url+"/events", "")
	stream.payload()
	stream.payload() // what went before it has been counted by now
	response, err := http.Get(url + "/stats")
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	if got := response.Header.Get("Content-Type"); !strings.HasPrefix(got, "application/json") {
		t.Errorf("Content-Type = %q, want application/json", got)
	}
	body, _ := io.ReadAll(response.Body)
	var got struct {
		Broker  struct{ Subscribers, Published, Delivered int }
		Process struct {
			PID, Goroutines int
			HeapBytes       int `json:"heap_bytes"`
		}
	}
	if err := json.Unmarshal(body, &got); err != nil {
		t.Fatal(err)
	}
	if got.Broker.Subscribers != 1 || got.Broker.Published < 1 || got.Broker.Delivered < 1 {
		t.Errorf("broker = %+v, want one subscriber, something published and delivered", got.Broker)
	}
	if got.Process.PID != os.Getpid() || got.Process.Goroutines < 1 || got.Process.HeapBytes < 1 {
		t.Errorf("process = %+v, want that of pid %d", got.Process, os.Getpid())
	}
}

func TestDemo_SaysFarewellAndExitsCleanly(t *testing.T) {
	if testing.Short() {
		t.Skip("starts processes")
	}
	for name, signal := range map[string]os.Signal{"SIGTERM": syscall.SIGTERM, "Ctrl-C": os.Interrupt} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			command := exec.Command(os.Args[0], "demo", "-addr", "127.0.0.1:0")
			command.Env = append(os.Environ(), runAsCommand+"=1")
			var stderr bytes.Buffer
			command.Stderr = &stderr
			stdout, err := command.StdoutPipe()
			if err != nil {
				t.Fatal(err)
			}
			if err := command.Start(); err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { command.Process.Kill() })
			stuck := time.AfterFunc(patience, func() { command.Process.Kill() })
			defer stuck.Stop()

			lines := bufio.NewScanner(stdout)
			var url string
			for url == "" && lines.Scan() {
				url = regexp.MustCompile(`http://127\.0\.0\.1:[1-9][0-9]*`).FindString(lines.Text())
			}
			stream := openEvents(t, url+"/events", "")
			stream.payload()
			if err := command.Process.Signal(signal); err != nil {
				t.Fatal(err)
			}
			farewell, retry := false, ""
			for _, b := range stream.rest() {
				farewell = b["event"] == "farewell"
				retry = cmp.Or(b["retry"], retry)
			}
			if !farewell || retry == "" {
				t.Errorf("ended with a farewell: %v, with retry %q; want both", farewell, retry)
			}
			for lines.Scan() { // until the process has closed it
			}
			if err := command.Wait(); err != nil {
				t.Errorf("the demo ended with %v, want exit status 0; stderr: %s", err, stderr.String())
			}
			if stderr.Len() > 0 {
				t.Errorf("stderr = %q, want nothing", stderr.String())
			}
		})
	}
}
