// Command resumable answers questions word by word, as a language model does, and the answer survives everything: the
// reader may leave and come back, the connection may break, and the server may be killed in the middle.
//
//	redis-server --appendonly yes &
//	go run ./examples/resumable [-addr host:port] [-redis host:port] [-follow]
//
// Each answer is a stream in Redis, with an event for each word, and the page reads it through [sse.Config.ReplayKey]. It
// is written by a goroutine that no request belongs to. After kill -9, the next server finds the answers that have no
// end, counts the words that are there, and goes on behind them; the page has reconnected by then and goes on as well.
//
// With -follow a process serves answers and writes none, so that there may be several. All keys begin with "resumable:"
// and expire a day after their last use.
package main

import (
	"context"
	_ "embed"
	"flag"
	"fmt"
	"log"
	"net/http"
	"os"
	"os/signal"
	"sync"
	"syscall"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/goceleris/celeris"
	"github.com/goceleris/celeris/middleware/sse"
	"github.com/goceleris/celeris/middleware/sse/redislog"
)

//go:embed page.html
var page string

func main() {
	addr := flag.String("addr", "127.0.0.1:8080", "where to listen")
	server := flag.String("redis", "127.0.0.1:6379", "where Redis is; without it there is nothing to show")
	follow := flag.Bool("follow", false, "serve what another process writes")
	pace := flag.Duration("pace", 60*time.Millisecond, "the time between two words")
	flag.Parse()
	if err := serve(*addr, *server, *follow, *pace); err != nil {
		log.Fatal(err)
	}
}

func serve(addr, server string, follow bool, pace time.Duration) error {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	client := redis.NewClient(&redis.Options{Addr: server})
	defer func() { _ = client.Close() }() // it ends with the process
	if err := client.Ping(ctx).Err(); err != nil {
		return fmt.Errorf("answers are kept in Redis, which does not answer at %s (start one: redis-server --appendonly yes): %w", server, err)
	}
	store, err := redislog.New(redislog.Config{Client: client, Prefix: prefix + "words:", TTL: ttl})
	if err != nil {
		return err
	}
	defer func() { _ = store.Close(context.Background()) }() // what is under way is stored first
	w := &writer{ctx: ctx, redis: client, store: store, pace: pace}
	defer w.working.Wait()
	defer stop()
	if !follow {
		if err := w.resume(); err != nil {
			return err
		}
	}

	app := celeris.New(celeris.Config{Addr: addr})
	app.GET("/", func(c *celeris.Context) error { return c.HTML(http.StatusOK, page) })
	app.GET("/answers/{id}", sse.New(sse.Config{
		ReplayStore: store,
		ReplayKey: func(c *celeris.Context) (string, error) {
			id := c.Param("id")
			if n, err := client.Exists(c.Context(), questionKey(id)).Result(); err != nil || n == 0 {
				return "", &celeris.HTTPError{Code: http.StatusNotFound, Message: "there is no such answer", Err: err}
			}
			return id, nil
		},
		Handler:       func(c *sse.Client) { <-c.Context().Done() }, // all there is to say comes through the store
		RetryInterval: 500 * time.Millisecond,
	}))
	if !follow {
		app.POST("/answers", func(c *celeris.Context) error {
			var asked struct{ Question string }
			if err := c.Bind(&asked); err != nil {
				return err
			}
			id, from, err := w.ask(c.Context(), asked.Question)
			if err != nil {
				return err
			}
			return c.JSON(http.StatusCreated, map[string]string{"id": id, "from": from})
		})
	}
	return app.StartContext(ctx)
}

// writer writes answers until ctx ends.
type writer struct {
	ctx     context.Context
	redis   *redis.Client
	store   *redislog.Log
	pace    time.Duration
	working sync.WaitGroup
}
