//go:build linux

package sockets

import (
	"context"
	"io"
	"strings"
	"testing"

	"github.com/goceleris/celeris/middleware/sse"
)

var bye = &sse.Event{Event: "farewell", Data: strings.Repeat("bye ", 1000)}

// What the client has sent and nobody has read turns a close into a reset, and a reset takes away what the client has not
// read yet.
func TestFarewell_SurvivesUnreadInput(t *testing.T) {
	over(t, plain, func(t *testing.T, w way) {
		for _, stray := range []int{0, 1, 20_000, 60_000} {
			for range 5 {
				s := w.serve(t, options{stream: sse.Config{Farewell: bye}})
				c := s.open(t, ask{})
				if stray > 0 {
					if _, err := c.conn.Write(make([]byte, stray)); err != nil {
						t.Fatal(err)
					}
				}
				s.publish("the last event")
				down := make(chan error, 1)
				go func() { down <- s.app.Shutdown(context.Background()) }()
				reach(t, "end", func() bool { return s.broker.Stats().Subscribers == 0 })
				if stray > 0 {
					_, _ = c.conn.Write(make([]byte, min(stray, 1000))) // more of it, behind the end
				}
				blocks, err := c.rest()
				if err != nil {
					t.Fatalf("%d stray bytes: %v behind %+v", stray, err, blocks)
				}
				var got []string
				for _, b := range blocks {
					if b.data != "" {
						got = append(got, b.event+":"+b.data)
					}
				}
				if want := ":the last event|farewell:" + bye.Data; strings.Join(got, "|") != want {
					t.Errorf("%d stray bytes: read %.200q", stray, got)
				}
				c.close() // which the server waits for
				if err := <-down; err != nil {
					t.Errorf("shut down: %v", err)
				}
			}
		}
	})
}

// Bytes may come with the request: net/http has read them when the connection is taken over.
func TestStray_BytesBehindTheRequestAreHarmless(t *testing.T) {
	over(t, plain, func(t *testing.T, w way) {
		s := w.serve(t, options{})
		for _, stray := range []string{
			"x", "GET / HTTP/1.1\r\nHost: example.com\r\n\r\n", strings.Repeat("stray ", 500), strings.Repeat("\r\n", 5000),
		} {
			c := s.open(t, ask{stray: stray})
			s.publish("one")
			if b := c.event(t); b.data != "one" {
				t.Errorf("behind %.20q: %+v", stray, b)
			}
			if _, err := io.WriteString(c.conn, stray); err != nil {
				t.Fatal(err)
			}
			s.publish("two")
			if b := c.event(t); b.data != "two" {
				t.Errorf("behind %.20q: %+v", stray, b)
			}
			c.close()
		}
	})
}

func TestStray_TooManyBytesEndTheStream(t *testing.T) {
	over(t, parked, func(t *testing.T, w way) {
		s := w.serve(t, options{})
		c := s.open(t, ask{})
		reach(t, "end", func() bool {
			_, _ = c.conn.Write(make([]byte, 1000)) // fails in the end
			return len(s.ended()) == 1
		})
		s.settle(0)
	})
}
