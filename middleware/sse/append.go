package sse

import (
	"context"
	"errors"
	"fmt"

	"github.com/goceleris/celeris/internal/fanout"
)

// Append adds e to the history that [Config.ReplayKey] calls key, whether a client of it is connected or not: to this
// process, to another one or to none. Who is connected anywhere gets it, and who comes back finds it. It returns the event
// with the id it got. So a producer, such as one that relays the tokens of an answer, goes on while its reader is away.
//
// The store must be a [Follower]; else the error is [errors.ErrUnsupported], because the clients of a history could not
// know. Other errors: [EncodeError], [ErrIDReserved], and [ErrStore] or [ErrOutcomeUnknown] with the store's own. Only
// ctx bounds the call. It may be called by any number of goroutines; events appear in the order in which calls return to
// one of them.
func Append(ctx context.Context, store ReplayStore, key string, e Event) (*PreparedEvent, error) {
	if err := checkKey(key); err != nil {
		return nil, err
	}
	if _, ok := store.(Follower); !ok {
		return nil, fmt.Errorf("sse: append to history %q: %T can't be followed: %w", key, store, errors.ErrUnsupported)
	}
	p, err := Prepare(e)
	if err != nil {
		return nil, err
	}
	_, id, err := store.Append(ctx, key, Record{Event: e})
	switch {
	case errors.Is(err, ErrOutcomeUnknown):
		return nil, fmt.Errorf("sse: append to history %q: %w", key, err)
	case err != nil:
		return nil, fmt.Errorf("%w: append to history %q: %w", ErrStore, key, err)
	}
	epoch, pos, err := ParseID(id)
	if err != nil {
		return nil, fmt.Errorf("%w: store answered with id %q", ErrOutcomeUnknown, id)
	}
	p.epoch, p.pos = epoch, fanout.Position(pos)
	return p, nil
}
