//go:build linux

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/goceleris/celeris/internal/wsproto"
)

// clientVariable makes this program the client.
const clientVariable = "SOAK_CLIENT"

// orders are what the clients are told.
type orders struct {
	Kind            kind
	Addr            string
	Streams, Topics int
	Time            time.Duration
}

// runClients carries out orders from in, and writes the tally to out.
func runClients(in io.Reader, out io.Writer) error {
	var o orders
	if err := json.NewDecoder(in).Decode(&o); err != nil {
		return fmt.Errorf("orders: %w", err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), o.Time+patience*3/4)
	defer cancel()
	go func() { // whoever gave the orders has ended
		_, _ = io.Copy(io.Discard, in)
		cancel()
	}()
	over := time.Now().Add(o.Time)
	var sum tally
	var mu sync.Mutex // guards sum
	var all sync.WaitGroup
	for i := range o.Streams {
		all.Go(func() {
			c := &client{orders: o, ctx: ctx, over: over, i: i, rng: rand.New(rand.NewPCG(uint64(i), 1))}
			c.run()
			mu.Lock()
			defer mu.Unlock()
			sum.add(c.tally)
		})
		if i%50 == 49 {
			time.Sleep(5 * time.Millisecond) // no faster than a listener's queue
		}
	}
	all.Wait()
	return json.NewEncoder(out).Encode(sum)
}

// client follows one topic, over many connections.
type client struct {
	orders
	tally
	ctx     context.Context
	over    time.Time // when the last event is about to come
	i       int
	rng     *rand.Rand
	lastID  string
	last    int // counter; 0 if the next may be any
	lastAll int // that of what goes to all
	ended   bool
	socket  socket // of the connection, for WebSocket

	rest            []byte // of the block that has begun
	id, event, data string // of it
	headed          bool
}

// lazy reports whether the client stands still now and then: one of ten does.
func (c *client) lazy() bool { return c.i%10 == 0 }

func (c *client) run() {
	for !c.ended {
		if err := c.visit(); err != nil {
			if c.ctx.Err() != nil {
				c.Unfinished++
				return
			}
			c.Examples = append(c.Examples, fmt.Sprintf("client %d at %q: %v", c.i, c.lastID, err))
			c.Unfinished++
			return
		}
	}
}

// dial opens a connection and asks for the stream.
func (c *client) dial(topic int) (net.Conn, error) {
	d := net.Dialer{Timeout: patience / 2, Control: func(_, _ string, raw syscall.RawConn) (err error) {
		if !c.lazy() {
			return nil
		}
		return errors.Join(raw.Control(func(fd uintptr) {
			err = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_RCVBUF, 4<<10)
		}), err)
	}}
	conn, err := d.DialContext(c.ctx, "tcp4", c.Addr)
	if err != nil {
		return nil, err
	}
	req := c.request(topic)
	if _, err := io.WriteString(conn, req+"\r\n"); err != nil {
		conn.Close()
		return nil, err
	}
	return conn, nil
}

// request is the head of what the client asks for, but for its last line.
func (c *client) request(topic int) string {
	if c.Kind == kindWS {
		return c.wsRequest(topic)
	}
	req := "GET /events?topic=" + topicName(topic) + " HTTP/1.1\r\nHost: soak\r\nAccept: text/event-stream\r\n"
	if c.lastID != "" {
		req += "Last-Event-ID: " + c.lastID + "\r\n"
	}
	return req
}

// visit follows until the end, or until it cuts the connection.
func (c *client) visit() error {
	conn, err := c.dial(c.i % c.Topics)
	if err != nil {
		return fmt.Errorf("connect: %w", err)
	}
	defer conn.Close()
	stop := context.AfterFunc(c.ctx, func() { conn.Close() })
	defer stop()
	// Each client comes back, and each of ten stands still, several times in a run.
	leave := time.Now().Add(c.some(min(c.Time/3, time.Minute)))
	stall := time.Now().Add(c.some(min(c.Time/6, 10*time.Second)))
	stood := time.Duration(0) // for how long it has stood still: the server may have given it up
	c.rest, c.id, c.event, c.data, c.headed = c.rest[:0], "", "", "", false
	if c.Kind == kindWS {
		c.greet(conn)
	}
	buf := make([]byte, 2<<10)
	for !c.ended {
		if time.Now().After(leave) {
			c.Churned++
			return c.leave(conn, stood)
		}
		if c.lazy() && time.Now().After(stall) {
			stood += c.standStill()
			stall = time.Now().Add(c.some(min(c.Time/6, 10*time.Second)))
			leave = leave.Add(c.some(min(c.Time/6, 10*time.Second))) // to see what it has missed
		}
		_ = conn.SetReadDeadline(time.Now().Add(patience / 4)) // something comes four times a second
		n, err := conn.Read(buf)
		if err := c.feed(buf[:n]); err != nil {
			return err
		}
		if c.socket.close != 0 && !c.ended {
			if c.socket.close != wsproto.TryAgainLater {
				return fmt.Errorf("closed with %d", c.socket.close)
			}
			c.Closed++
			return nil
		}
		if err != nil && !c.ended && stood > maxStall/2 {
			c.GivenUp++
			return nil
		}
		if err != nil && !c.ended {
			return fmt.Errorf("read: %w", err)
		}
	}
	return nil
}

// leave prepares for the connection to be cut, if it doesn't close it.
func (c *client) leave(conn net.Conn, stood time.Duration) error {
	if c.Kind == kindWS && c.headed {
		switch c.rng.IntN(3) {
		case 0:
			return c.goodbye(conn, stood)
		case 1:
			c.breakOff()
		}
	}
	if c.rng.IntN(2) == 0 {
		_ = conn.(*net.TCPConn).SetLinger(0) // a reset
	}
	return nil
}

// some is a random time around a mean.
func (c *client) some(mean time.Duration) time.Duration {
	return time.Duration(c.rng.ExpFloat64() * float64(mean))
}

// standStill reads nothing for a while, but not beyond the end of the run. It returns how long that was.
func (c *client) standStill() time.Duration {
	c.Stalled++
	began := time.Now()
	pause := time.NewTimer(min(c.some(min(c.Time/2, 40*time.Second)), time.Until(c.over)))
	defer pause.Stop()
	select {
	case <-pause.C:
	case <-c.ctx.Done():
	}
	return time.Since(began)
}

// feed parses what has come.
func (c *client) feed(p []byte) error {
	if c.Kind == kindWS && c.headed {
		return c.frames(p)
	}
	c.rest = append(c.rest, p...)
	for {
		line, rest, ok := bytes.Cut(c.rest, []byte("\n"))
		if !ok {
			c.rest = append(c.rest[:0], line...)
			return nil
		}
		text := string(bytes.TrimSuffix(line, []byte("\r")))
		c.rest = rest
		switch {
		case !c.headed && text == "":
			c.headed = true
			if c.Kind == kindWS {
				return c.frames(rest)
			}
		case !c.headed:
			if strings.HasPrefix(text, "HTTP/") && !strings.HasPrefix(text, c.Kind.opened()) {
				return fmt.Errorf("the response is %q", text)
			}
		case text == "":
			if err := c.block(); err != nil {
				return err
			}
			c.id, c.event, c.data = "", "", ""
		default:
			name, value, _ := strings.Cut(text, ": ")
			switch name {
			case "id":
				c.id = value
			case "event":
				c.event = value
			case "data":
				c.data = value
			}
		}
	}
}

// block judges a whole block.
func (c *client) block() error {
	if c.id != "" {
		c.lastID = c.id
	}
	switch {
	case c.event == "resync":
		c.Resyncs++
		c.last = 0
		return nil
	case c.data == "":
		return nil
	}
	if c.event != "" {
		return fmt.Errorf("got %q, %.60q", c.event, c.data)
	}
	return c.judge(c.data)
}

// judge looks at the text of an event.
func (c *client) judge(text string) error {
	last := &c.last
	fields := strings.SplitN(text, " ", 4)
	if len(fields) < 3 || fields[0] != topicName(c.i%c.Topics) && fields[0] != everyone {
		return fmt.Errorf("got %.60q", text)
	}
	if fields[0] == everyone {
		last = &c.lastAll
	}
	n, err := strconv.Atoi(fields[1])
	if err != nil {
		return err
	}
	c.Delivered++
	switch {
	case *last == 0 || n == *last+1:
	case n <= *last:
		c.Duplicates++
		c.Examples = append(c.Examples, fmt.Sprintf("client %d: event %s %d behind %d", c.i, fields[0], n, *last))
	default:
		c.Gaps++
		c.Examples = append(c.Examples, fmt.Sprintf("client %d: event %s %d behind %d", c.i, fields[0], n, *last))
	}
	*last = n
	c.ended = c.ended || fields[2] == end
	return nil
}
