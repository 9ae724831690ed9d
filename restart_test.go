//go:build linux

package celeris_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/goceleris/celeris"
	"github.com/goceleris/celeris/middleware/sse"
)

// TestRestart_Process is not a test but each of the two processes that TestRestart_RefusesNobody starts.
func TestRestart_Process(t *testing.T) {
	if os.Getenv("CELERIS_TEST_CHILD") != t.Name() {
		t.Skip("runs in a process of its own only")
	}
	b, err := sse.NewBroker(sse.BrokerConfig{})
	if err != nil {
		t.Fatal(err)
	}
	app := celeris.New(celeris.Config{})
	app.GET("/events", sse.New(sse.Config{Broker: b}))
	app.GET("/who", func(c *celeris.Context) error { return c.String(http.StatusOK, strconv.Itoa(os.Getpid())) })
	app.POST("/publish", func(c *celeris.Context) error {
		_, err := b.Publish(c.Context(), sse.Event{Data: c.Query("data")})
		return err
	})
	fmt.Println("result", app.Start())
}

// source is an event stream as a browser reads it.
type source struct {
	conn net.Conn
	r    *bufio.Reader
	id   string
}

// listen opens a stream and reads its head.
func listen(addr, lastID string) (*source, error) {
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		return nil, err
	}
	conn.SetDeadline(time.Now().Add(time.Minute))
	head := "GET /events HTTP/1.1\r\nHost: x\r\nAccept: text/event-stream\r\nSec-Fetch-Mode: cors\r\n"
	if lastID != "" {
		head += "Last-Event-ID: " + lastID + "\r\n"
	}
	s := &source{conn: conn, r: bufio.NewReader(conn), id: lastID}
	if _, err := io.WriteString(conn, head+"\r\n"); err != nil {
		return s, err
	}
	res, err := http.ReadResponse(s.r, nil)
	if err != nil {
		return s, err
	}
	s.r = bufio.NewReader(res.Body)
	if res.StatusCode != http.StatusOK {
		err = fmt.Errorf("status %d", res.StatusCode)
	}
	return s, err
}

// block reads up to a blank line; its lines are joined by "|", ids are kept and left out.
func (s *source) block() (string, error) {
	var lines []string
	for {
		line, err := s.r.ReadString('\n')
		if err != nil {
			return line, err
		}
		if line == "\n" {
			return strings.Join(lines, "|"), nil
		}
		line = strings.TrimSuffix(line, "\n")
		if id, ok := strings.CutPrefix(line, "id: "); ok {
			s.id = id
			continue
		}
		lines = append(lines, line)
	}
}

// want reads blocks.
func (s *source) want(t *testing.T, want ...string) {
	t.Helper()
	for _, w := range want {
		if got, err := s.block(); got != w || err != nil {
			t.Errorf("block %q, %v, want %q", got, err, w)
		}
	}
}

// visitors ask who serves, one connection for each question, until they are told to stop.
type visitors struct {
	stop chan struct{}
	wg   sync.WaitGroup

	mu      sync.Mutex // guards what follows
	answers map[string]int
	failed  []error
	changed chan struct{} // has a token after an answer
}

func visit(addr string, n int) *visitors {
	v := &visitors{stop: make(chan struct{}), answers: make(map[string]int), changed: make(chan struct{}, 1)}
	for range n {
		v.wg.Go(func() {
			pace := time.NewTicker(2 * time.Millisecond)
			defer pace.Stop()
			for {
				select {
				case <-v.stop:
					return
				case <-pace.C:
				}
				who, err := ask(addr)
				v.mu.Lock()
				if err != nil {
					v.failed = append(v.failed, err)
				}
				v.answers[who]++
				v.mu.Unlock()
				select {
				case v.changed <- struct{}{}:
				default:
				}
			}
		})
	}
	return v
}

func ask(addr string) (string, error) {
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		return "", err
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(time.Minute))
	if _, err := io.WriteString(conn, "GET /who HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"); err != nil {
		return "", err
	}
	res, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		return "", err
	}
	b, err := io.ReadAll(res.Body)
	if err == nil && res.StatusCode != http.StatusOK {
		err = fmt.Errorf("status %d", res.StatusCode)
	}
	return string(b), err
}

// count returns how often who has answered.
func (v *visitors) count(who string) int {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.answers[who]
}

// until waits for n answers of who.
func (v *visitors) until(t *testing.T, who string, n int) {
	t.Helper()
	late := time.After(30 * time.Second)
	for v.count(who) < n {
		select {
		case <-v.changed:
		case <-late:
			t.Fatalf("%d answers of process %s, want %d", v.count(who), who, n)
		}
	}
}

func TestRestart_RefusesNobody(t *testing.T) {
	const tabs = 30
	f, addr := socket(t, "tcp", "127.0.0.1:0")
	start := func() (*child, string) {
		c := spawn(t, passing(t, "TestRestart_Process", []*os.File{f}, "LISTEN_PID=$$ LISTEN_FDS=1"))
		c.await(t, "INFO listening")
		return c, strconv.Itoa(c.cmd.Process.Pid) // exec keeps it
	}
	before, old := start()
	sources := make([]*source, tabs)
	for i := range sources {
		s, err := listen(addr, "")
		if err != nil {
			t.Fatal(err)
		}
		defer s.conn.Close()
		s.want(t, "retry: 3000")
		sources[i] = s
	}
	for i := range 3 {
		res, err := http.Post(fmt.Sprintf("http://%s/publish?data=%d", addr, i), "", nil)
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
	}
	for _, s := range sources {
		s.want(t, "data: 0", "data: 1", "data: 2")
	}

	v := visit(addr, 2)
	v.until(t, old, 20)
	after, fresh := start()
	v.until(t, old, v.count(old)+20) // both accept
	if err := before.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	var retries []int
	for i, s := range sources {
		block, err := s.block()
		ms, ok := strings.CutPrefix(block, "retry: ")
		n, _ := strconv.Atoi(ms)
		if err != nil || !ok || n < 3000 || n >= 8000 {
			t.Errorf("stream %d ended with %q, %v, want a retry of 3000 to 7999", i, block, err)
		}
		if rest, err := s.block(); rest != "" || err != io.EOF {
			t.Errorf("behind the farewell: %q, %v, want the end", rest, err)
		}
		retries = append(retries, n)
	}
	if slices.Max(retries)-slices.Min(retries) < 2500 {
		t.Errorf("clients come back after %v: they are not spread", retries)
	}
	if got := before.await(t, "result "); got != "<nil>" {
		t.Errorf("Start of the old process = %s, want nil", got)
	}
	if err := before.cmd.Wait(); err != nil {
		t.Errorf("the old process: %v", err)
	}
	v.until(t, fresh, v.count(fresh)+20)
	close(v.stop)
	v.wg.Wait()
	if len(v.failed) > 0 {
		t.Errorf("%d of %v visits failed, the first: %v", len(v.failed), v.answers, v.failed[0])
	}

	for _, s := range sources {
		back, err := listen(addr, s.id)
		if err != nil {
			t.Fatal(err)
		}
		defer back.conn.Close()
		back.want(t, "retry: 3000", `event: resync|data: {"dropped":0,"reason":"restarted"}`)
	}
	if err := after.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if got := after.await(t, "result "); got != "<nil>" {
		t.Errorf("Start of the new process = %s, want nil", got)
	}
}
