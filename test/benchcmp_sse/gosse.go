package main

import (
	"net"
	"net/http"
	"path"

	"github.com/tmaxmax/go-sse"
)

// goSSE is github.com/tmaxmax/go-sse with its default provider.
type goSSE struct{ srv *sse.Server }

func newGoSSE() (server, error) {
	return &goSSE{srv: &sse.Server{
		Provider: &sse.Joe{},
		OnSession: func(w http.ResponseWriter, r *http.Request) ([]string, bool) {
			// Joe sends the head with the first event; a browser's onopen wants it now.
			w.Header().Set("Content-Type", "text/event-stream")
			return []string{path.Base(r.URL.Path)}, http.NewResponseController(w).Flush() == nil
		},
	}}, nil
}

func (s *goSSE) Serve(l net.Listener) error { return http.Serve(l, s.srv) }

func (s *goSSE) Publish(topic string, data []byte) error {
	m := &sse.Message{}
	m.AppendData(string(data))
	return s.srv.Publish(m, topic)
}

func (s *goSSE) Overhead() int { return 0 }

func (s *goSSE) Dropped() int64 { return 0 }
