package main

import (
	"path"
	"sync"
	"sync/atomic"
)

// hub is what many write by hand for a library that has none: a channel for each client, and a goroutine that writes what
// comes. A client whose channel is full misses the message. M is what a library sends.
type hub[M any] struct {
	mu      sync.Mutex
	rooms   map[string]map[chan M]struct{}
	dropped atomic.Int64
}

func newHub[M any]() *hub[M] { return &hub[M]{rooms: map[string]map[chan M]struct{}{}} }

func (h *hub[M]) Dropped() int64 { return h.dropped.Load() }

func (h *hub[M]) join(url string) (room string, messages chan M) {
	room, messages = path.Base(url), make(chan M, 256)
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.rooms[room] == nil {
		h.rooms[room] = map[chan M]struct{}{}
	}
	h.rooms[room][messages] = struct{}{}
	return room, messages
}

// leave ends whoever waits for messages.
func (h *hub[M]) leave(room string, messages chan M) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.rooms[room], messages)
	close(messages)
}

func (h *hub[M]) publish(room string, m M) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for messages := range h.rooms[room] {
		select {
		case messages <- m:
		default:
			h.dropped.Add(1)
		}
	}
}
