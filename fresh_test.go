package celeris_test

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/goceleris/celeris"
)

// A connection that never sent anything must not hold up a shutdown: net/http alone would wait until its age is five
// seconds, which the deadline here does not allow.
func TestShutdown_DoesNotWaitForConnectionsThatSentNothing(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	app := celeris.New(quiet())
	served := make(chan error, 1)
	go func() { served <- app.Serve(t.Context(), l) }()
	silent, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	// A second connection that was answered was accepted after the first.
	request(t, http.DefaultClient, http.MethodGet, "http://"+l.Addr().String()+"/")

	ctx, cancel := context.WithTimeout(t.Context(), 4*time.Second)
	defer cancel()
	if err := app.Shutdown(ctx); err != nil {
		t.Errorf("Shutdown = %v, want nil", err)
	}
	if err := <-served; err != nil {
		t.Errorf("Serve = %v, want nil", err)
	}
	if _, err := silent.Read(make([]byte, 1)); err == nil {
		t.Error("the silent connection is still open")
	}
}

// What a client sends on a connection that was accepted before the shutdown is answered: net/http alone would drop it.
func TestShutdown_AnswersTheFirstRequestOfAConnection(t *testing.T) {
	everywhere(t, func(t *testing.T, p protocol) {
		app := drainable(p.config(celeris.Config{}))
		app.GET("/", says("hi"))
		l := newPipes()
		result := serve(t, app, l)
		early, late := p.client(t, l), p.client(t, l)
		accepted := make(chan struct{})
		for _, c := range []*http.Client{early, late} { // they send when the shutdown has begun
			tr := c.Transport.(*http.Transport)
			dial := tr.DialContext
			tr.DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
				conn, err := dial(ctx, network, addr)
				accepted <- struct{}{}
				if c == late {
					time.Sleep(freshGrace + time.Millisecond)
				} else {
					time.Sleep(freshGrace - time.Millisecond)
				}
				return conn, err
			}
		}
		answers := make(chan error, 2)
		for _, c := range []*http.Client{early, late} {
			go func() {
				res, err := c.Get(p.url("/"))
				if err == nil {
					res.Body.Close()
					if res.StatusCode != http.StatusOK || p.name == "HTTP/1.1" && !res.Close {
						err = fmt.Errorf("status %d, close %v", res.StatusCode, res.Close)
					}
				}
				answers <- err
			}()
			<-accepted
		}
		synctest.Wait()
		if err := app.Shutdown(within(t, time.Minute)); err != nil {
			t.Errorf("Shutdown = %v, want nil", err)
		}
		if err := <-answers; err != nil {
			t.Errorf("first request while draining: %v, want an answer and a close", err)
		}
		if err := <-answers; err == nil {
			t.Error("a connection that sent nothing in time was answered")
		}
		if err := <-result; err != nil {
			t.Errorf("Serve = %v, want nil", err)
		}
	})
}

const freshGrace = 500 * time.Millisecond
