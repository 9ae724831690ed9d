package interop

import (
	"context"
	"log/slog"
	"net"
	"strconv"
	"testing"
	"time"

	"github.com/goceleris/celeris"
	"github.com/goceleris/celeris/middleware/sse"
)

// page is empty: the script brings what it takes.
const page = `<!doctype html><title>interop</title><link rel="icon" href="data:,">`

// celerisServer serves the events of a broker behind a cutter.
func celerisServer(t *testing.T) (*cutter, func(n int) error) {
	t.Helper()
	quiet := slog.New(slog.DiscardHandler)
	broker, err := sse.NewBroker(sse.BrokerConfig{Logger: quiet})
	if err != nil {
		t.Fatal(err)
	}
	app := celeris.New(celeris.Config{Logger: quiet})
	app.GET("/", func(c *celeris.Context) error { return c.HTML(200, page) })
	app.GET("/events", sse.New(sse.Config{Broker: broker, RetryInterval: 10 * time.Millisecond, Logger: quiet}))
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- app.Serve(context.Background(), l) }()
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		app.Shutdown(ctx)
		<-served
		broker.Close(ctx)
	})
	return newCutter(t, l.Addr().String()), func(n int) error {
		_, err := broker.Publish(context.Background(), sse.Event{Data: strconv.Itoa(n)})
		return err
	}
}

func TestServer_NpmEventSource(t *testing.T) {
	requireNode(t, "eventsource")
	c, publish := celerisServer(t)
	follow(t, c, publish, script(t, "read.mjs", c.url()+"/events"), false)
}

func TestServer_Browser(t *testing.T) {
	if testing.Short() {
		t.Skip("takes a browser")
	}
	requireNode(t, "playwright-core")
	t.Setenv("CHROMIUM", requireBrowser(t))
	c, publish := celerisServer(t)
	follow(t, c, publish, script(t, "browse.mjs", c.url()), false)
}
