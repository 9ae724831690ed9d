package store

import (
	"context"
	"fmt"
	"strconv"
	"time"
)

// Check is for those who write a store: it returns the error of a call that has to do nothing because of these
// arguments. A method without a ttl passes zero.
func Check(ctx context.Context, key string, ttl time.Duration) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if key == "" {
		return fmt.Errorf("%w: empty", ErrInvalidKey)
	}
	if ttl < 0 {
		return fmt.Errorf("%w: %v", ErrInvalidTTL, ttl)
	}
	return nil
}

// ParseNumber is for those who write a store: it returns the number that a value is, as [Counter] defines it, or
// ErrNotNumber.
func ParseNumber(value []byte) (int64, error) {
	n, err := strconv.ParseInt(string(value), 10, 64)
	if err != nil || strconv.FormatInt(n, 10) != string(value) {
		return 0, fmt.Errorf("%w: %.40q", ErrNotNumber, value)
	}
	return n, nil
}

// Add is for those who write a store: it returns the sum of two numbers, or ErrNotNumber.
func Add(n, delta int64) (int64, error) {
	sum := n + delta
	if (sum > n) != (delta > 0) && delta != 0 {
		return 0, fmt.Errorf("%w: %d%+d", ErrNotNumber, n, delta)
	}
	return sum, nil
}
