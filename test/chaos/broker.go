package chaos

import (
	"fmt"

	"github.com/goceleris/celeris/middleware/sse"
)

// newBroker returns a broker on the Redis at an address.
func newBroker(redis string, cfg sse.BrokerConfig) (*sse.Broker, error) {
	if redis == inMemory {
		cfg.History = 1 << 20
		return sse.NewBroker(cfg)
	}
	return nil, fmt.Errorf("chaos: no store at %s", redis)
}
