package main

import (
	"errors"
	"net"
	"net/http"
	"path"
	"sync/atomic"
	"time"

	"github.com/olahol/melody"
)

// melodyServer is a framework on top of gorilla: it has the hub, and rooms are filters.
type melodyServer struct {
	m       *melody.Melody
	dropped atomic.Int64
}

func newMelody(deflate bool) (server, error) {
	s := &melodyServer{m: melody.New()}
	s.m.Upgrader.EnableCompression = deflate
	s.m.Config.MaxMessageSize = 1 << 20
	s.m.Config.PongWait, s.m.Config.PingPeriod = time.Hour, time.Hour // the others don't ping
	s.m.HandleMessage(func(c *melody.Session, data []byte) {
		if c.Write(data) != nil {
			s.dropped.Add(1)
		}
	})
	s.m.HandleError(func(_ *melody.Session, err error) {
		if errors.Is(err, melody.ErrMessageBufferFull) {
			s.dropped.Add(1)
		}
	})
	return s, nil
}

func (s *melodyServer) Serve(l net.Listener) error { return http.Serve(l, s) }

func (s *melodyServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	_ = s.m.HandleRequestWithKeys(w, r, map[string]any{"room": path.Base(r.URL.Path)}) // it has answered
}

func (s *melodyServer) Publish(room string, data []byte) error {
	return s.m.BroadcastFilter(data, func(c *melody.Session) bool { return c.MustGet("room") == room })
}

func (s *melodyServer) Dropped() int64 { return s.dropped.Load() }
