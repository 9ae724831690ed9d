package main

import (
	"errors"
	"net"
	"net/http"
	"path"
	"slices"
	"sync"
)

// hijack is a floor in Go: connections taken over from net/http and written to one after the other. A reader that
// doesn't read stops everybody; one that leaves is noticed by a failing write.
type hijack struct {
	mu     sync.Mutex
	topics map[string][]net.Conn
}

func newHijack() (server, error) { return &hijack{topics: map[string][]net.Conn{}}, nil }

func (h *hijack) Serve(l net.Listener) error { return http.Serve(l, h) }

func (h *hijack) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return
	}
	const head = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nCache-Control: no-cache\r\nConnection: close\r\n\r\n"
	h.mu.Lock()
	defer h.mu.Unlock()
	if _, err := conn.Write([]byte(head)); err != nil {
		conn.Close()
		return
	}
	topic := path.Base(r.URL.Path)
	h.topics[topic] = append(h.topics[topic], conn)
}

func (h *hijack) Publish(topic string, data []byte) error {
	event := slices.Concat([]byte("data: "), data, []byte("\n\n"))
	h.mu.Lock()
	defer h.mu.Unlock()
	var failed error
	h.topics[topic] = slices.DeleteFunc(h.topics[topic], func(c net.Conn) bool {
		_, err := c.Write(event)
		if err != nil {
			c.Close()
		}
		failed = errors.Join(failed, err)
		return err != nil
	})
	return failed
}

func (h *hijack) Overhead() int { return 0 }

func (h *hijack) Dropped() int64 { return 0 }
