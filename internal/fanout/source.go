package fanout

import (
	"context"
	"errors"
	"iter"
)

// ErrGone is the answer of a [Source] that can't go on from a position without a gap.
var ErrGone = errors.New("fanout: position is not in the source")

// Source has what a core's memory has forgotten.
type Source interface {
	// Reaches reports whether p is at or below the newest position of the epoch.
	Reaches(ctx context.Context, epoch string, p Position) (bool, error)
	// Since yields the records of an epoch behind p, in order and without a gap, until the newest of them or until the loop
	// is left. [ErrGone] means that it can't; any other error that it may later. An error comes last.
	Since(ctx context.Context, epoch string, p Position) iter.Seq2[Record, error]
}

// Record is a frame as a [Source] has it.
type Record struct {
	Position Position
	Frame    []byte
	Topics   []string
	Hole     bool // frames are missing here; Frame and Topics mean nothing
}
