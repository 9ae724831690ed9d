package interop

import (
	"bytes"
	"context"
	"fmt"
	"iter"
	"net/http"
	"net/http/httptest"
	"strconv"
	"testing"
	"time"

	r3labs "github.com/r3labs/sse/v2"
	gosse "github.com/tmaxmax/go-sse"

	"github.com/goceleris/celeris/middleware/sse"
)

// connected is the data of what our client gets.
func connected(t *testing.T, url string) iter.Seq2[string, error] {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	r, err := http.NewRequest(http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	client := &http.Client{Transport: &http.Transport{}}
	t.Cleanup(client.CloseIdleConnections)
	source := sse.Connect(ctx, r, &sse.ConnectOptions{Client: client, Retry: 10 * time.Millisecond, Backoff: 10 * time.Millisecond})
	return func(yield func(string, error) bool) {
		for event, err := range source.Events() {
			if !yield(event.Data, err) {
				return
			}
		}
	}
}

func serve(t *testing.T, h http.Handler) *cutter {
	t.Helper()
	server := httptest.NewServer(h)
	t.Cleanup(func() {
		server.CloseClientConnections()
		server.Close()
	})
	return newCutter(t, server.Listener.Addr().String())
}

func TestConnect_GoSSE(t *testing.T) {
	replayer, err := gosse.NewFiniteReplayer(2*events, true)
	if err != nil {
		t.Fatal(err)
	}
	server := &gosse.Server{Provider: &gosse.Joe{Replayer: replayer}}
	t.Cleanup(func() { server.Shutdown(context.Background()) })
	c := serve(t, server)
	follow(t, c, func(n int) error {
		m := &gosse.Message{}
		m.AppendData(strconv.Itoa(n))
		return server.Publish(m)
	}, connected(t, c.url()), false)
}

// TestConnect_R3Labs reads from a server that begins with the last event once more.
func TestConnect_R3Labs(t *testing.T) {
	server := r3labs.New()
	server.CreateStream("all")
	t.Cleanup(server.Close)
	c := serve(t, server)
	follow(t, c, func(n int) error {
		server.Publish("all", &r3labs.Event{Data: []byte(strconv.Itoa(n))})
		return nil
	}, connected(t, c.url()+"/?stream=all"), true)
}

// TestConnect_BetterSSE reads from a server on Node.js.
func TestConnect_BetterSSE(t *testing.T) {
	requireNode(t, "better-sse")
	next, stop := iter.Pull2(script(t, "serve.mjs"))
	t.Cleanup(stop)
	addr, err, _ := next()
	if err != nil {
		t.Fatal(err)
	}
	publisher := &http.Client{Transport: &http.Transport{}}
	t.Cleanup(publisher.CloseIdleConnections)
	c := newCutter(t, addr)
	follow(t, c, func(n int) error {
		response, err := publisher.Post("http://"+addr, "text/plain", bytes.NewBufferString(strconv.Itoa(n)))
		if err != nil {
			return err
		}
		response.Body.Close()
		if response.StatusCode != http.StatusNoContent {
			return fmt.Errorf("status %s", response.Status)
		}
		return nil
	}, connected(t, c.url()), false)
}
