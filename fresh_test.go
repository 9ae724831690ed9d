package celeris_test

import (
	"context"
	"net"
	"net/http"
	"testing"
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
