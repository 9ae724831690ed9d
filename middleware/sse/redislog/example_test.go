package redislog_test

import (
	"context"
	"fmt"
	"log"

	"github.com/redis/go-redis/v9"

	"github.com/goceleris/celeris"
	"github.com/goceleris/celeris/middleware/sse"
	"github.com/goceleris/celeris/middleware/sse/redislog"
)

// A broker whose clients resume after a restart, and on any process that shares the Redis.
func Example() {
	client := redis.NewClient(&redis.Options{Addr: "localhost:6379"})
	defer client.Close()
	history, err := redislog.New(redislog.Config{Client: client, Prefix: "app:events:"})
	if err != nil {
		log.Fatal(err)
	}
	defer history.Close(context.Background())
	broker, err := sse.NewBroker(sse.BrokerConfig{ReplayStore: history})
	if err != nil {
		log.Fatal(err) // Redis doesn't answer
	}
	defer broker.Close(context.Background())

	app := celeris.New(celeris.Config{})
	app.GET("/events", sse.New(sse.Config{Broker: broker}))
	_, err = broker.Publish(context.Background(), sse.Event{Data: "stored, then delivered everywhere"})
	if err != nil {
		log.Print(err) // nothing was published, unless it is sse.ErrOutcomeUnknown
	}
}

// A conversation that goes on while its client is away, and is resumed on any process.
func ExampleNew() {
	client := redis.NewClient(&redis.Options{Addr: "localhost:6379"})
	defer client.Close()
	history, err := redislog.New(redislog.Config{Client: client, Prefix: "app:events:"})
	if err != nil {
		log.Fatal(err)
	}
	defer history.Close(context.Background())

	app := celeris.New(celeris.Config{})
	app.GET("/answers/{id}", sse.New(sse.Config{
		ReplayStore: history,
		ReplayKey:   func(c *celeris.Context) (string, error) { return c.Param("id"), nil },
		Handler: func(c *sse.Client) {
			_ = c.Send(sse.Event{Data: "stored before it is delivered"}) // the client has left, if not
		},
	}))
}

// What a reader has missed, and then what comes.
func ExampleLog_Follow() {
	client := redis.NewClient(&redis.Options{Addr: "localhost:6379"})
	defer client.Close()
	history, err := redislog.New(redislog.Config{Client: client})
	if err != nil {
		log.Fatal(err)
	}
	for record, err := range history.Follow(context.Background(), "prices", "") {
		if err != nil {
			log.Fatal(err) // of Redis, or sse.ErrLastIDUnknown
		}
		fmt.Println(record.ID, record.Event.Data)
	}
}
