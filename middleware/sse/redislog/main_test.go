package redislog

import (
	"context"
	"testing"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"

	"github.com/goceleris/celeris/internal/leak"
	"github.com/goceleris/celeris/internal/testserver"
	"github.com/goceleris/celeris/middleware/sse"
	"github.com/goceleris/celeris/middleware/sse/replaytest"
)

func TestMain(m *testing.M) { leak.Main(m) }

// quiet switches off what go-redis starts goroutines for that outlive the client.
var quiet = &maintnotifications.Config{Mode: maintnotifications.ModeDisabled}

// connect returns a client of a server, closed when the test ends.
func connect(t testing.TB, s *testserver.RedisServer, change ...func(*redis.Options)) *redis.Client {
	t.Helper()
	o := &redis.Options{Addr: s.Addr, DisableIdentity: true, MaintNotificationsConfig: quiet}
	for _, f := range change {
		f(o)
	}
	client := redis.NewClient(o)
	t.Cleanup(func() { client.Close() })
	return client
}

// open returns a Log that is closed when the test ends.
func open(t testing.TB, cfg Config) *Log {
	t.Helper()
	l, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := l.Close(context.Background()); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
	return l
}

func TestContract(t *testing.T) {
	server := testserver.Redis(t)
	replaytest.Run(t, func(t *testing.T) sse.ReplayStore {
		return open(t, Config{Client: connect(t, server), MaxLen: 300})
	})
}
