package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/goceleris/celeris/internal/leak"
	"github.com/goceleris/celeris/internal/testserver"
	"github.com/goceleris/celeris/middleware/sse"
)

// childVariable makes the test's program the example.
const childVariable = "RESUMABLE_CHILD"

func TestMain(m *testing.M) {
	if os.Getenv(childVariable) != "" {
		main()
		return
	}
	leak.Main(m)
}

// process is a run of the example.
type process struct {
	addr string
	cmd  *exec.Cmd
}

func start(t *testing.T, args ...string) *process {
	t.Helper()
	cmd := exec.Command(os.Args[0], append(args, "-pace", "5ms")...)
	cmd.Env = append(os.Environ(), childVariable+"=1")
	out, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	p := &process{cmd: cmd}
	t.Cleanup(p.kill)
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		if m := regexp.MustCompile(`listening addr=(\S+)`).FindStringSubmatch(lines.Text()); m != nil {
			p.addr = m[1]
			go io.Copy(io.Discard, out) // ends with the process
			return p
		}
		t.Log(lines.Text())
	}
	t.Fatal("the example ended")
	return nil
}

// kill is kill -9.
func (p *process) kill() {
	_ = p.cmd.Process.Kill()
	_ = p.cmd.Wait()
}

// TestAnswer_SurvivesEverything kills the writer twice, and then serves the reader from another process.
func TestAnswer_SurvivesEverything(t *testing.T) {
	const question = "Will  I\nsee “all” of this?"
	server := testserver.Redis(t, testserver.RedisDurable()...)
	writing := start(t, "-redis", server.Addr, "-addr", "127.0.0.1:0")
	address := writing.addr
	follower := start(t, "-redis", server.Addr, "-addr", "127.0.0.1:0", "-follow")

	id, from := ask(t, address, question)
	at := address
	client := &http.Client{Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			var d net.Dialer
			return d.DialContext(ctx, "tcp", at)
		},
	}}
	var got []string
	for event, err := range read(t, client, id, from, sse.ConnectOptions{Retry: 10 * time.Millisecond, Backoff: 50 * time.Millisecond}) {
		switch {
		case err != nil:
			t.Fatalf("after %d words: %v", len(got), err)
		case event.Event != "":
			t.Fatalf("after %d words: %+v", len(got), event)
		}
		switch got = append(got, event.Data); len(got) {
		case 20, 50:
			writing.kill()
			writing = start(t, "-redis", server.Addr, "-addr", address)
		case 80:
			writing.kill()
			at = follower.addr
			writing = start(t, "-redis", server.Addr, "-addr", address)
		}
	}
	if want := words(question); !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}

	writing.kill()
	writing = start(t, "-redis", server.Addr, "-addr", address) // has nothing to go on with
	var again []string
	for event, err := range read(t, client, id, from, sse.ConnectOptions{}) {
		if err != nil {
			t.Fatal(err)
		}
		again = append(again, event.Data)
	}
	if !slices.Equal(again, got) {
		t.Errorf("later the answer is %q", again)
	}
	checkKeys(t, server.Addr)
}

// read yields the events of an answer before its end.
func read(t *testing.T, client *http.Client, id, from string, o sse.ConnectOptions) func(func(sse.Event, error) bool) {
	t.Helper()
	return func(yield func(sse.Event, error) bool) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		r, err := http.NewRequest(http.MethodGet, "http://resumable.test/answers/"+id, nil)
		if err != nil {
			t.Fatal(err)
		}
		o.Client, o.LastEventID = client, from
		for event, err := range sse.Connect(ctx, r, &o).Events() {
			if event.Event == "done" || !yield(event, err) {
				return
			}
		}
	}
}

func ask(t *testing.T, addr, question string) (id, from string) {
	t.Helper()
	body, err := json.Marshal(map[string]string{"question": question})
	if err != nil {
		t.Fatal(err)
	}
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	response, err := client.Post("http://"+addr+"/answers", "application/json", bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	var answer struct{ ID, From string }
	if err := json.NewDecoder(response.Body).Decode(&answer); err != nil || response.StatusCode != http.StatusCreated {
		t.Fatalf("%s: %v", response.Status, err)
	}
	return answer.ID, answer.From
}

// checkKeys looks at what is in Redis: everything is below the prefix and expires.
func checkKeys(t *testing.T, addr string) {
	t.Helper()
	client := redis.NewClient(&redis.Options{Addr: addr})
	defer client.Close()
	keys, err := client.Keys(t.Context(), "*").Result()
	if err != nil || len(keys) < 2 {
		t.Fatalf("keys %q, %v", keys, err)
	}
	for _, key := range keys {
		left, err := client.TTL(t.Context(), key).Result()
		if err != nil || left <= 0 || left > ttl || !strings.HasPrefix(key, prefix) {
			t.Errorf("key %q lives for %v, %v", key, left, err)
		}
	}
}

func TestAnswer_NobodyElses(t *testing.T) {
	server := testserver.Redis(t)
	p := start(t, "-redis", server.Addr, "-addr", "127.0.0.1:0")
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	response, err := client.Get(fmt.Sprintf("http://%s/answers/none", p.addr))
	if err != nil {
		t.Fatal(err)
	}
	response.Body.Close()
	if response.StatusCode != http.StatusNotFound {
		t.Errorf("status %s, want 404", response.Status)
	}
}

func TestServe_SaysThatRedisIsMissing(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := l.Addr().String()
	l.Close()
	err = serve("127.0.0.1:0", addr, false, time.Millisecond)
	if err == nil || !strings.Contains(err.Error(), "redis-server") || !strings.Contains(err.Error(), addr) {
		t.Errorf("error %v does not tell what to do", err)
	}
}
