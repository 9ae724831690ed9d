package redislog

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
)

const (
	defaultPrefix = "celeris:replay:"
	defaultMaxLen = 10_000
	defaultTTL    = 24 * time.Hour

	// minTTL leaves time to keep a stream alive that is only followed.
	minTTL = time.Second
)

// Config is how a [Log] keeps its streams. Processes that share streams use the same one.
type Config struct {
	// Client is the connection to Redis: a *redis.Client, also one of redis.NewFailoverClient, a *redis.ClusterClient
	// or a *redis.Ring. The Log doesn't close it. In a cluster or a ring each stream that is followed occupies one
	// connection of the pool, with a single server all of them share one.
	Client redis.UniversalClient

	// Prefix begins the names of all keys. Empty means "celeris:replay:". It must not contain braces.
	Prefix string

	// MaxLen is how many records a stream keeps at least; Redis forgets older ones in blocks, of about a hundred. Zero
	// means 10 000.
	MaxLen int

	// TTL is how long a stream outlives its last use: an open, an append or a follower. Then it is forgotten with its
	// epoch. Zero means 24 hours; less than a second is an error.
	TTL time.Duration
}

// check returns the config with its defaults.
func (c Config) check() (Config, error) {
	if c.Client == nil {
		return c, errors.New("redislog: Config.Client is nil")
	}
	if c.Prefix == "" {
		c.Prefix = defaultPrefix
	}
	if strings.ContainsAny(c.Prefix, "{}") {
		return c, fmt.Errorf("redislog: Config.Prefix %q contains a brace: they mark what decides the slot in a cluster", c.Prefix)
	}
	if c.MaxLen < 0 {
		return c, fmt.Errorf("redislog: Config.MaxLen is %d: it is the number of records kept, zero means %d", c.MaxLen, defaultMaxLen)
	}
	if c.MaxLen == 0 {
		c.MaxLen = defaultMaxLen
	}
	if c.TTL == 0 {
		c.TTL = defaultTTL
	}
	if c.TTL < minTTL {
		return c, fmt.Errorf("redislog: Config.TTL is %v: a stream has to live for %v at least, zero means %v", c.TTL, minTTL, defaultTTL)
	}
	return c, nil
}
