package main

import (
	"context"
	_ "embed"
	"errors"
	"net/http"
	"time"

	"github.com/goceleris/celeris"
	"github.com/goceleris/celeris/middleware/sse"
)

// streamSource is this file: the page shows the lines between its markers, so what it shows is what runs.
//
//go:embed stream.go
var streamSource string

// cutRetry is how long the red button keeps a browser away.
const cutRetry = 5 * time.Second

// errCut is why a stream ended whose own page asked for it.
var errCut = errors.New("demo: cut by the red button")

// page:begin

func newBroker(app *celeris.Server, onSlow func(sse.SlowSubscriber) sse.BrokerPolicy) (*sse.Broker, error) {
	broker, err := sse.NewBroker(sse.BrokerConfig{
		History: 2048, HistoryAge: 5 * time.Minute, MaxLagBytes: 256 << 10, OnSlowSubscriber: onSlow,
	})
	if err != nil {
		return nil, err
	}
	topics := []string{"vitals", "stats", "wall"}
	app.GET("/events", sse.New(sse.Config{
		Broker:    broker,
		Topics:    func(*celeris.Context) ([]string, error) { return topics, nil },
		OnConnect: rememberTab,
		Farewell:  &sse.Event{Event: "farewell", Data: "the server is going down"},
	}))
	// The red button: a browser names its own stream by the random token it was opened with.
	app.POST("/cut", func(c *celeris.Context) error {
		mine := func(s *sse.Client) bool { tab, _ := s.Get("tab"); return tab == c.Query("tab") }
		cut, err := broker.Disconnect(mine, errCut, &sse.Farewell{Retry: cutRetry})
		if err != nil {
			return err
		}
		return c.JSON(http.StatusOK, map[string]int{"cut": cut})
	})
	return broker, nil
}

func publish(ctx context.Context, broker *sse.Broker, topic string, v any) (*sse.PreparedEvent, error) {
	event, err := sse.JSON(topic, v)
	if err != nil {
		return nil, err
	}
	return broker.Publish(ctx, event, topic)
}

// page:end

// rememberTab keeps the token of a stream's owner, a page or the worker of several, on it. A stream without
// one can't be cut.
func rememberTab(c *sse.Client) error {
	if tab := c.Request().URL.Query().Get("tab"); tab != "" {
		c.Set("tab", tab)
	}
	return nil
}
