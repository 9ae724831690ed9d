package sse_test

import (
	"context"
	"log"
	"time"

	"github.com/goceleris/celeris"
	"github.com/goceleris/celeris/middleware/sse"
)

func Example_first() {
	broker, _ := sse.NewBroker(sse.BrokerConfig{}) // fails for negative settings only
	app := celeris.New(celeris.Config{Addr: "127.0.0.1:8080"})
	app.GET("/events", sse.New(sse.Config{Broker: broker}))
	go func() {
		for t := range time.Tick(time.Second) {
			broker.Publish(context.Background(), sse.Event{Data: t.Format(time.TimeOnly)})
		}
	}()
	if err := app.Start(); err != nil {
		log.Fatal(err)
	}
}
