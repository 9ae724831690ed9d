//go:build linux

package main

import (
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"strings"
	"time"

	"github.com/goceleris/celeris/internal/wsproto"
)

// socket is what a client knows of its WebSocket.
type socket struct {
	send     func(frame []byte) error
	parser   wsproto.Parser
	inflater wsproto.Inflater
	message  []byte // as far as it has come
	asked    int    // messages sent
	answered int    // of them, that came back
	close    int    // status code of the close frame, 0 if none has come
}

// echoes reports whether the client sends messages of its own.
func (c *client) echoes() bool { return c.i/2%2 == 0 }

// deflates reports whether the client offers compression.
func (c *client) deflates() bool { return c.i%3 == 0 }

// wsRequest is the client's opening handshake, but for its last line. Clients differ in how they are served.
func (c *client) wsRequest(topic int) string {
	path, more := "/callbacks/", ""
	if c.i%7 < 2 {
		path = "/handler/"
	}
	if c.deflates() {
		more += "Sec-WebSocket-Extensions: permessage-deflate; client_no_context_takeover; server_no_context_takeover\r\n"
	}
	if c.i/20%2 == 0 {
		more += "Policy: drop\r\n"
	}
	if c.lastID != "" {
		more += "Position: " + c.lastID + "\r\n"
	}
	return "GET " + path + topicName(topic) + " HTTP/1.1\r\nHost: soak\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n" +
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n" + more
}

// greet begins with a connection.
func (c *client) greet(conn net.Conn) {
	c.socket = socket{parser: wsproto.Parser{FromServer: true, Deflate: c.deflates()}, send: func(frame []byte) error {
		_ = conn.SetWriteDeadline(time.Now().Add(patience / 4))
		_, err := conn.Write(frame)
		return err
	}}
}

// frames takes what has come behind the handshake.
func (c *client) frames(p []byte) error {
	for {
		ev, n, err := c.socket.parser.Next(p)
		if err != nil {
			return err
		}
		p = p[n:]
		switch {
		case ev.Kind == wsproto.Control:
			err = c.control(ev)
		case ev.Kind == wsproto.Data:
			c.socket.message = append(c.socket.message, ev.Payload...)
			if ev.Last {
				err = c.whole(ev.Compressed)
				c.socket.message = c.socket.message[:0]
			}
		case len(p) == 0:
			return nil
		}
		if err != nil {
			return err
		}
	}
}

func (c *client) control(ev wsproto.Event) error {
	switch ev.Opcode {
	case wsproto.Ping:
		_ = c.socket.send(clientFrame(wsproto.Pong, ev.Payload)) // what is wrong the next read tells
	case wsproto.Close:
		code, reason, err := wsproto.ParseClose(ev.Payload)
		if err != nil {
			return err
		}
		c.socket.close = code
		_ = c.socket.send(clientFrame(wsproto.Close, ev.Payload[:2])) // fails if both have closed
		if code != wsproto.NormalClosure && code != wsproto.TryAgainLater {
			return fmt.Errorf("closed with %d %q", code, reason)
		}
	}
	return nil
}

// whole judges a whole message.
func (c *client) whole(compressed bool) error {
	text := c.socket.message
	if compressed {
		c.Inflated++
		var err error
		if text, err = c.socket.inflater.Append(nil, text, 1<<20); err != nil {
			return err
		}
	}
	if echo, ok := strings.CutPrefix(string(text), "echo "); ok {
		c.socket.answered++
		c.Echoed++
		if want := fmt.Sprint(c.socket.answered); echo != want || c.socket.answered > c.socket.asked {
			return fmt.Errorf("echo %.40q, want %s of %d", echo, want, c.socket.asked)
		}
		return nil
	}
	position, event, ok := cutPosition(string(text))
	if !ok {
		return fmt.Errorf("got %.60q", text)
	}
	c.lastID = position
	if event == resync {
		c.Resyncs++
		c.last, c.lastAll = 0, 0
		return nil
	}
	if err := c.judge(event); err != nil {
		return err
	}
	if c.echoes() && c.Delivered%8 == 0 {
		c.socket.asked++
		_ = c.socket.send(clientFrame(wsproto.Text, fmt.Appendf(nil, "echo %d", c.socket.asked))) // what is wrong the next read tells
	}
	return nil
}

// goodbye closes as the protocol wants it. Everything that was asked is answered first.
func (c *client) goodbye(conn net.Conn, stood time.Duration) error {
	farewell := clientFrame(wsproto.Close, wsproto.AppendClosePayload(nil, wsproto.NormalClosure, ""))
	err := c.socket.send(farewell)
	asked := c.socket.asked
	// What comes behind the close frame may meet a socket that is closed, whose reset takes away what was not read yet.
	c.socket.send = func([]byte) error { return nil }
	buf := make([]byte, 2<<10)
	for err == nil {
		_ = conn.SetReadDeadline(time.Now().Add(patience / 2))
		var n int
		n, err = conn.Read(buf)
		if wrong := c.feed(buf[:n]); wrong != nil {
			return wrong
		}
	}
	switch {
	case c.socket.close == wsproto.TryAgainLater:
		c.Closed++
	case stood > maxStall/4 && c.socket.close == 0:
		// The hub had closed it as too slow, waited for its answer and then went: this close met a socket that was gone, and
		// the reset took away what was not read yet.
		c.GivenUp++
	case !errors.Is(err, io.EOF) || c.socket.close == 0:
		return fmt.Errorf("close: %w, with code %d", err, c.socket.close)
	case c.socket.answered < asked:
		return fmt.Errorf("%d of %d echoes before the close frame", c.socket.answered, asked)
	}
	return nil
}

// breakOff leaves half a frame behind.
func (c *client) breakOff() {
	frame := clientFrame(wsproto.Text, []byte("a message that never ends"))
	_ = c.socket.send(frame[:1+c.rng.IntN(len(frame)-1)]) // nobody waits for the answer
}

func clientFrame(op wsproto.Opcode, payload []byte) []byte {
	return wsproto.AppendFrame(nil, wsproto.Frame{Opcode: op, Fin: true, Masked: true, Key: rand.Uint32()}, payload)
}
