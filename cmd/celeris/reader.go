package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"

	"github.com/goceleris/celeris/middleware/sse"
)

// slowReceiveBuffer bounds, in bytes, what the system takes in for the slow reader.
const slowReceiveBuffer = 4 << 10

// readStream opens the stream at path over a TCP connection of its own and hands its events to take, until the
// stream or ctx ends or take fails. With a plan it reads by that plan's gulps only.
func readStream(ctx context.Context, addr, path string, slow *plan, take func(sse.Event) error) error {
	var d net.Dialer
	conn, err := d.DialContext(ctx, "tcp", addr)
	if err != nil {
		return fmt.Errorf("demo: reader: %w", err)
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { conn.Close() })() // a read that waits ends with ctx

	var source io.Reader = conn
	if slow != nil {
		if tcp, ok := conn.(*net.TCPConn); ok {
			_ = tcp.SetReadBuffer(slowReceiveBuffer) // slow all the same, it only shows later
		}
		source = gulps{ctx, conn, slow}
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+addr+path, nil)
	if err != nil {
		return fmt.Errorf("demo: reader: %w", err)
	}
	request.Header.Set("Accept", "text/event-stream")
	if err := request.Write(conn); err != nil {
		return fmt.Errorf("demo: reader: %w", err)
	}
	response, err := http.ReadResponse(bufio.NewReaderSize(source, 1<<10), request)
	if err != nil {
		return fmt.Errorf("demo: reader: %w", err)
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("demo: reader: %s", response.Status)
	}
	for event, err := range sse.Read(response.Body) {
		if err == nil {
			err = take(event)
		}
		if err != nil {
			return err
		}
	}
	return errors.New("demo: reader: the stream has ended")
}

// gulps reads a little, and only after a pause.
type gulps struct {
	ctx  context.Context
	conn net.Conn
	plan *plan
}

// Read implements [io.Reader].
func (g gulps) Read(p []byte) (int, error) {
	select {
	case <-g.ctx.Done():
		return 0, context.Cause(g.ctx)
	case <-time.After(g.plan.pause):
	}
	return g.conn.Read(p[:min(len(p), g.plan.gulp)])
}
