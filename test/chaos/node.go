package chaos

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/goceleris/celeris"
	"github.com/goceleris/celeris/middleware/sse"
)

const (
	// nodeVariable makes the test's program a node; it is the address of Redis, or "memory", and how many events to keep.
	nodeVariable = "CHAOS_NODE"
	// inMemory has a node keep its history to itself.
	inMemory = "memory"

	streamName     = "chaos"
	publishTimeout = 5 * time.Second
)

// runNode serves a broker until in ends, and prints its address first.
func runNode(addr string, maxLen int, in io.Reader, out io.Writer) error {
	go func() {
		_, _ = io.Copy(io.Discard, in) // ends with whoever started this
		os.Exit(0)
	}()
	quiet := slog.New(slog.DiscardHandler)
	cfg := sse.BrokerConfig{Logger: quiet, OnSlowSubscriber: func(sse.SlowSubscriber) sse.BrokerPolicy { return sse.BrokerPolicyCatchUp }}
	broker, err := newBroker(addr, maxLen, cfg)
	if err != nil {
		return err
	}
	app := celeris.New(celeris.Config{Logger: quiet})
	app.GET("/events", sse.New(sse.Config{
		Broker:            broker,
		Topics:            func(c *celeris.Context) ([]string, error) { return strings.Split(c.Query("topics"), ","), nil },
		RetryInterval:     20 * time.Millisecond,
		HeartbeatInterval: time.Second,
		Logger:            quiet,
	}))
	app.POST("/publish", func(c *celeris.Context) error { return publishAll(c, broker) })
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	if _, err := fmt.Fprintln(out, l.Addr()); err != nil {
		return err
	}
	return app.Serve(context.Background(), l)
}

// nodeOf is the value of nodeVariable.
func nodeOf(addr string, maxLen int) string { return fmt.Sprint(addr, " ", maxLen) }

// parseNode reads what nodeOf wrote.
func parseNode(v string) (addr string, maxLen int, err error) {
	_, err = fmt.Sscan(v, &addr, &maxLen)
	return addr, maxLen, err
}

// publishAll publishes the lines of the request at once, and answers each when its outcome is known: "ok" with the id,
// "no" if it is not in the stream, "unknown" if it may be.
func publishAll(c *celeris.Context, broker *sse.Broker) error {
	w := c.Response()
	w.Header().Set("Content-Type", "text/plain")
	w.WriteHeader(http.StatusOK)
	var mu sync.Mutex // guards w
	var publishing sync.WaitGroup
	lines := bufio.NewScanner(c.Request().Body)
	for lines.Scan() {
		n, rest, _ := strings.Cut(lines.Text(), " ")
		names, pad, _ := strings.Cut(rest, " ")
		publishing.Go(func() {
			answer := publishOne(c.Context(), broker, n, pad, strings.Split(names, ","))
			mu.Lock()
			defer mu.Unlock()
			fmt.Fprintln(w, answer)
			_ = http.NewResponseController(w).Flush() // a publisher that is gone knows nothing, and says so
		})
	}
	publishing.Wait()
	return lines.Err()
}

func publishOne(ctx context.Context, broker *sse.Broker, n, pad string, names []string) string {
	ctx, cancel := context.WithTimeout(ctx, publishTimeout)
	defer cancel()
	p, err := broker.Publish(ctx, sse.Event{Data: n + " " + pad}, names...)
	switch {
	case err == nil:
		return "ok " + n + " " + p.ID()
	case errors.Is(err, sse.ErrOutcomeUnknown):
		return "unknown " + n + " " + err.Error()
	}
	return "no " + n + " " + err.Error()
}
