package main

import (
	"context"
	"net"
	"time"

	"github.com/goceleris/celeris"
	"github.com/goceleris/celeris/engine"
	"github.com/goceleris/celeris/middleware/sse"
)

// celerisServer is a broker behind one route, on one engine.
type celerisServer struct {
	app    *celeris.Server
	broker *sse.Broker
	id     string // of the newest event
	log    journal
}

func celerisOn(kind engine.Kind) func() (server, error) {
	return func() (server, error) {
		broker, err := sse.NewBroker(sse.BrokerConfig{})
		if err != nil {
			return nil, err
		}
		s := &celerisServer{broker: broker}
		s.app = celeris.New(celeris.Config{
			Engine:   kind,
			MaxStall: time.Hour, // or those that don't read would not last as long as the measurement
			Logger:   s.log.logger(),
		})
		s.app.GET("/events/{topic}", sse.New(sse.Config{
			Broker:            broker,
			HeartbeatInterval: time.Hour, // the others have none
			Topics: func(c *celeris.Context) ([]string, error) {
				return []string{c.Request().PathValue("topic")}, nil
			},
		}))
		return s, nil
	}
}

func (s *celerisServer) Serve(l net.Listener) error { return s.app.Serve(context.Background(), l) }

func (s *celerisServer) Publish(topic string, data []byte) error {
	p, err := s.broker.Publish(context.Background(), sse.Event{Data: string(data)}, topic)
	if err == nil {
		s.id = p.ID()
	}
	return err
}

// Overhead is the id line, which the broker writes.
func (s *celerisServer) Overhead() int { return len("id: \n") + len(s.id) }

func (s *celerisServer) Dropped() int64 { return 0 } // the client gets a resync event and no number: it counts the gap

// Log is what the server had to say about its engine.
func (s *celerisServer) Log() string { return s.log.about("engine") }
