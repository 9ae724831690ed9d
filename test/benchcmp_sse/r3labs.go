package main

import (
	"net"
	"net/http"
	"path"

	"github.com/r3labs/sse/v2"
)

// r3 is github.com/r3labs/sse without replay.
type r3 struct{ srv *sse.Server }

func newR3Labs() (server, error) {
	srv := sse.New()
	srv.AutoReplay = false
	srv.AutoStream = true
	return &r3{srv: srv}, nil
}

func (s *r3) Serve(l net.Listener) error {
	return http.Serve(l, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r.URL.RawQuery = "stream=" + path.Base(r.URL.Path) // where the library looks for it
		s.srv.ServeHTTP(w, r)
	}))
}

func (s *r3) Publish(topic string, data []byte) error {
	s.srv.Publish(topic, &sse.Event{Data: data})
	return nil
}

// Overhead is the empty id line that the library writes.
func (s *r3) Overhead() int { return len("id: \n") }

func (s *r3) Dropped() int64 { return 0 }
