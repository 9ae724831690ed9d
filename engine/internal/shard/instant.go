package shard

import (
	"math"
	"time"
)

// instant is a moment as nanoseconds since its shard began: a third of a [time.Time], of which a stream has several.
type instant int64

// add is for durations that are not negative: one without end leads to the last instant.
func (i instant) add(d time.Duration) instant {
	if i > 0 && instant(d) > math.MaxInt64-i {
		return math.MaxInt64
	}
	return i + instant(d)
}

func (i instant) sub(j instant) time.Duration { return time.Duration(i - j) }

func (s *Shard) now() instant { return instant(time.Since(s.born)) }

// at is what a moment is for others.
func (s *Shard) at(i instant) time.Time { return s.born.Add(time.Duration(i)) }
