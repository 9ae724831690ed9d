//go:build linux

package main

import (
	"strings"
	"testing"

	"github.com/goceleris/celeris/internal/wsproto"
)

func TestClient_WebSocket(t *testing.T) {
	head := "HTTP/1.1 101 Switching Protocols\r\nDate: x\r\n\r\n"
	frame := func(text string) string {
		return string(wsproto.AppendFrame(nil, wsproto.Frame{Opcode: wsproto.Text, Fin: true}, []byte(text)))
	}
	deflated := func(text string) string {
		f := wsproto.Frame{Opcode: wsproto.Text, Fin: true, Compressed: true}
		return string(wsproto.AppendFrame(nil, f, wsproto.AppendDeflate(nil, []byte(text), nil, 15, 1)))
	}
	closing := func(code int) string { return string(wsproto.AppendClose(nil, wsproto.Frame{}, code, "why")) }
	ping := string(wsproto.AppendFrame(nil, wsproto.Frame{Opcode: wsproto.Ping, Fin: true}, []byte("p")))
	for _, tt := range []struct {
		name, text string
		want       tally
		position   string
		ended      bool
		err        string
	}{
		{"in order", frame("a\nt0 7 a x") + ping + frame("b\nall 3 a x") + deflated("c\nt0 8 b x") + frame("d\nall 4 a x") +
			frame("e\nt0 9 end x"), tally{Delivered: 5, Inflated: 1}, "e", true, ""},
		{"gap", frame("a\nt0 7 a x") + frame("b\nt0 9 b x"), tally{Delivered: 2, Gaps: 1}, "b", false, ""},
		{"gap for all", frame("a\nall 7 a x") + frame("b\nall 9 b x"), tally{Delivered: 2, Gaps: 1}, "b", false, ""},
		{"twice", frame("a\nt0 7 a x") + frame("a\nt0 7 a x"), tally{Delivered: 2, Duplicates: 1}, "a", false, ""},
		{"told", frame("a\nt0 7 a x") + frame("b\nresync") + frame("c\nt0 20 b x"), tally{Delivered: 2, Resyncs: 1}, "c", false, ""},
		{"too slow", frame("a\nt0 7 a x") + closing(1013), tally{Delivered: 1}, "a", false, ""},
		{"closed", closing(1011), tally{}, "", false, "1011"},
		{"somebody else's", frame("a\nt2 1 a x"), tally{}, "a", false, "t2 1"},
		{"nobody's", frame("t0 1 a x"), tally{}, "", false, "t0 1"},
		{"echo of nothing", frame("echo 1"), tally{Echoed: 1}, "", false, "echo"},
		{"masked", string(clientFrame(wsproto.Text, []byte("a\nt0 7 a x"))), tally{}, "", false, "mask"},
	} {
		c := &client{orders: orders{Kind: kindWS, Topics: 3}}
		c.socket = socket{parser: wsproto.Parser{FromServer: true, Deflate: true}, send: func([]byte) error { return nil }}
		var err error
		for _, b := range []byte(head + tt.text) {
			if err == nil {
				err = c.feed([]byte{b})
			}
		}
		if tt.err != "" {
			if err == nil || !strings.Contains(err.Error(), tt.err) {
				t.Errorf("%s: %v, want %s", tt.name, err, tt.err)
			}
			continue
		}
		if err != nil || c.Delivered != tt.want.Delivered || c.Gaps != tt.want.Gaps || c.Duplicates != tt.want.Duplicates ||
			c.Resyncs != tt.want.Resyncs || c.Inflated != tt.want.Inflated || c.ended != tt.ended || c.lastID != tt.position {
			t.Errorf("%s: %+v at %q, %v, %v", tt.name, c.tally, c.lastID, c.ended, err)
		}
	}
}

// Messages have to come back once each, in order.
func TestClient_Echoes(t *testing.T) {
	for _, tt := range []struct {
		answers []string
		ok      bool
	}{
		{[]string{"1", "2"}, true},
		{[]string{"2"}, false},
		{[]string{"1", "1"}, false},
		{[]string{"1", "2", "3"}, false},
	} {
		c := &client{orders: orders{Kind: kindWS, Topics: 1}}
		c.socket = socket{parser: wsproto.Parser{FromServer: true}, asked: 2}
		c.headed = true
		var err error
		for _, a := range tt.answers {
			if err == nil {
				err = c.feed(wsproto.AppendFrame(nil, wsproto.Frame{Opcode: wsproto.Text, Fin: true}, []byte("echo "+a)))
			}
		}
		if (err == nil) != tt.ok {
			t.Errorf("%q: %v", tt.answers, err)
		}
	}
}
