//go:build linux

package main

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/goceleris/celeris"
	"github.com/goceleris/celeris/middleware/sse"
)

// kind is what the clients speak.
type kind string

const (
	kindSSE kind = "sse"
	kindWS  kind = "ws"
)

// opened is how the answer to a client begins.
func (k kind) opened() string {
	if k == kindWS {
		return "HTTP/1.1 101"
	}
	return "HTTP/1.1 200"
}

// site is what a server serves.
type site interface {
	// publish hands a text to those who follow a topic, or everyone if it is "".
	publish(topic, text string) error
	// left is how many streams there are.
	left() int
	String() string
	close(ctx context.Context) error
}

// open returns a site whose routes are app's. Each stream that has ended is told to gone.
func open(k kind, app *celeris.Server, gone func()) (site, error) {
	switch k {
	case kindSSE:
		return openBroker(app, gone)
	case kindWS:
		return openHub(app, gone), nil
	}
	return nil, fmt.Errorf("there is no %q: want sse or ws", k)
}

// broker is the site for server-sent events.
type broker struct{ *sse.Broker }

func openBroker(app *celeris.Server, gone func()) (site, error) {
	quiet := slog.New(slog.DiscardHandler)
	b, err := sse.NewBroker(sse.BrokerConfig{
		SubscriberBuffer: history / 2, History: history, HistoryBytes: historyBytes, HistoryAge: 24 * time.Hour, Logger: quiet,
	})
	if err != nil {
		return nil, err
	}
	app.GET("/events", sse.New(sse.Config{
		Broker: b, Logger: quiet, HeartbeatInterval: 5 * time.Second,
		Topics:       func(c *celeris.Context) ([]string, error) { return []string{c.Query("topic")}, nil },
		OnDisconnect: func(*sse.Client, error) { gone() },
	}))
	return broker{b}, nil
}

func (b broker) publish(topic, text string) error {
	_, err := b.Publish(context.Background(), sse.Event{Data: text}, topic)
	return err
}

func (b broker) left() int { return b.Stats().Subscribers }

func (b broker) String() string {
	st := b.Stats()
	return fmt.Sprintf("%d streams, %d events, %d delivered, %d resyncs", st.Subscribers, st.Published, st.Delivered, st.Resyncs)
}

func (b broker) close(ctx context.Context) error { return b.Close(ctx) }
