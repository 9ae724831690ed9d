package main

import (
	"net"
	"net/http"
	"path"
	"sync"
	"sync/atomic"
)

// hub is what many write by hand: a channel for each client, and a goroutine that writes and flushes what comes. A
// client whose channel is full misses the event.
type hub struct {
	mu      sync.Mutex
	topics  map[string]map[chan []byte]struct{}
	dropped atomic.Int64
	write   func(w http.ResponseWriter, first []byte, more <-chan []byte) error
}

func newHub() (server, error) {
	return &hub{topics: map[string]map[chan []byte]struct{}{}, write: writeOne}, nil
}

func writeOne(w http.ResponseWriter, event []byte, _ <-chan []byte) error {
	_, err := w.Write(event)
	return err
}

func (h *hub) Serve(l net.Listener) error { return http.Serve(l, h) }

func (h *hub) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	events, topic := make(chan []byte, 256), path.Base(r.URL.Path)
	h.mu.Lock()
	if h.topics[topic] == nil {
		h.topics[topic] = map[chan []byte]struct{}{}
	}
	h.topics[topic][events] = struct{}{}
	h.mu.Unlock()
	defer h.leave(topic, events)
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("Cache-Control", "no-cache")
	flusher := http.NewResponseController(w)
	for err := flusher.Flush(); err == nil; err = flusher.Flush() {
		select {
		case event := <-events:
			if h.write(w, event, events) != nil {
				return
			}
		case <-r.Context().Done():
			return
		}
	}
}
