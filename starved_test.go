//go:build linux

package celeris_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/goceleris/celeris"
)

// TestStarved_Process is not a test but the process that TestServe_AcceptsAgainWhenDescriptorsAreFree starts.
func TestStarved_Process(t *testing.T) {
	if os.Getenv("CELERIS_TEST_STARVED") == "" {
		t.Skip("runs in a process of its own only")
	}
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &syscall.Rlimit{Cur: 40, Max: 40}); err != nil {
		t.Fatal(err)
	}
	app := celeris.New(celeris.Config{Addr: "127.0.0.1:0"})
	app.GET("/", func(c *celeris.Context) error {
		fmt.Fprintln(c.Response(), "held")
		if err := http.NewResponseController(c.Response()).Flush(); err != nil {
			return err
		}
		<-c.Context().Done()
		return nil
	})
	fmt.Println("result", app.Start()) // the address is in the log
}

func TestServe_AcceptsAgainWhenDescriptorsAreFree(t *testing.T) {
	const clients = 80
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestStarved_Process$", "-test.timeout=60s")
	cmd.Env = append(os.Environ(), "CELERIS_TEST_STARVED=1")
	server := spawn(t, cmd)
	addr := strings.Fields(server.await(t, "addr="))[0]

	held := make(chan net.Conn, clients)
	var wg sync.WaitGroup
	for range clients {
		conn, err := net.Dial("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		conn.SetDeadline(time.Now().Add(time.Minute))
		if _, err := io.WriteString(conn, "GET / HTTP/1.1\r\nHost: x\r\n\r\n"); err != nil {
			t.Fatal(err)
		}
		wg.Go(func() {
			r := bufio.NewReader(conn)
			for line := ""; line != "held\n"; {
				var err error
				if line, err = r.ReadString('\n'); err != nil {
					t.Errorf("a client that waited got %v", err)
					break
				}
			}
			held <- conn
		})
	}
	server.await(t, "out of descriptors: new connections wait")
	for range clients {
		(<-held).Close() // lets one in that waits
	}
	wg.Wait()
	if err := server.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if got := server.await(t, "result "); got != "<nil>" {
		t.Errorf("Start = %s, want nil", got)
	}
	if got := server.seen.String(); strings.Count(got, "out of descriptors") != 1 || strings.Contains(got, "http: Accept error") {
		t.Errorf("the process said:\n%s\nwant one line of the shortage", got)
	}
}
