package metrics_test

import (
	"context"
	"fmt"
	"log"
	"net/http/httptest"
	"strings"

	"github.com/goceleris/celeris"
	"github.com/goceleris/celeris/middleware/metrics"
	"github.com/goceleris/celeris/middleware/sse"
)

func ExampleNew() {
	prices, _ := sse.NewBroker(sse.BrokerConfig{}) // fails for negative settings only
	defer prices.Close(context.Background())
	app := celeris.New(celeris.Config{})
	m, err := metrics.New(metrics.Config{Server: app, Brokers: map[string]*sse.Broker{"prices": prices}})
	if err != nil {
		log.Fatal(err)
	}
	app.Use(m.Middleware())
	app.GET("/prices", sse.New(sse.Config{Broker: prices}))
	app.GET("/metrics", m.Handler())

	prices.Publish(context.Background(), sse.Event{Data: "42"})
	w := httptest.NewRecorder()
	app.ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
	for line := range strings.Lines(w.Body.String()) {
		if strings.HasPrefix(line, "celeris_broker_published") {
			fmt.Print(line)
		}
	}
	// Output:
	// celeris_broker_published_events_total{broker="prices"} 1
}
