package main

import (
	"net/http"
	"slices"
)

// Publish formats the event and offers it to all clients of the topic.
func (h *hub) Publish(topic string, data []byte) error {
	event := slices.Concat([]byte("data: "), data, []byte("\n\n"))
	h.mu.Lock()
	defer h.mu.Unlock()
	for events := range h.topics[topic] {
		select {
		case events <- event:
		default:
			h.dropped.Add(1)
		}
	}
	return nil
}

func (h *hub) leave(topic string, events chan []byte) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.topics[topic], events)
}

func (h *hub) Overhead() int { return 0 }

func (h *hub) Dropped() int64 { return h.dropped.Load() }

// newHubDrain returns the hub that flushes once for all events that wait.
func newHubDrain() (server, error) {
	return &hub{topics: map[string]map[chan []byte]struct{}{}, write: writeAll}, nil
}

func writeAll(w http.ResponseWriter, event []byte, more <-chan []byte) error {
	for {
		if _, err := w.Write(event); err != nil {
			return err
		}
		select {
		case event = <-more:
		default:
			return nil
		}
	}
}
