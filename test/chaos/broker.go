package chaos

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/goceleris/celeris/middleware/sse"
	"github.com/goceleris/celeris/middleware/sse/redislog"
)

const (
	// prefix begins the names of all keys.
	prefix = "chaos:"
	// inNode is how many events a node keeps of a topic: who was away for a while is served by Redis.
	inNode = 256
)

// newBroker returns a broker on the Redis at an address.
func newBroker(addr string, maxLen int, cfg sse.BrokerConfig) (*sse.Broker, error) {
	if addr == inMemory {
		cfg.History = maxLen
		return sse.NewBroker(cfg)
	}
	log, err := redislog.New(redislog.Config{Client: newRedis(addr), Prefix: prefix, MaxLen: maxLen})
	if err != nil {
		return nil, err
	}
	cfg.SubscriberBuffer, cfg.History, cfg.ReplayStore, cfg.Stream = inNode, inNode, log, streamName
	return sse.NewBroker(cfg)
}

// newRedis returns a client that soon notices a server which says nothing.
func newRedis(addr string) *redis.Client {
	return redis.NewClient(&redis.Options{Addr: addr, DialTimeout: time.Second, ReadTimeout: 2 * time.Second, WriteTimeout: 2 * time.Second})
}

// errRecord is about a record that nobody has published.
var errRecord = errors.New("chaos: strange record in the stream")

func parseRecord(r sse.Record) (record, error) {
	_, position, err := sse.ParseID(r.ID)
	if err != nil {
		return record{}, fmt.Errorf("%w: %w", errRecord, err)
	}
	digits, _, _ := strings.Cut(r.Event.Data, " ")
	n, err := strconv.Atoi(digits)
	switch got := parseSet(r.Topics); {
	case r.Hole, err != nil, n < 1:
		return record{}, fmt.Errorf("%w: %+v", errRecord, r)
	case got != topicsOf(n):
		return record{}, fmt.Errorf("%w: event %d with topics %v", errRecord, n, got)
	}
	return record{position, n, topicsOf(n)}, nil
}
