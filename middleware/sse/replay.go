package sse

import (
	"context"
	"errors"
	"iter"
	"strconv"
	"strings"
)

var (
	// ErrLastIDUnknown reports an ID from which a stream can't be continued
	// without a gap: its records are no longer kept, it is of another epoch or
	// stream, it lies ahead of the stream, or it is no ID at all.
	ErrLastIDUnknown = errors.New("sse: last event ID is unknown")

	// ErrOutcomeUnknown reports an append that may or may not have taken
	// effect, for example because the connection broke before the answer.
	// Whoever needs to know reads the stream from the last ID it is sure of.
	ErrOutcomeUnknown = errors.New("sse: outcome of the append is unknown")

	// ErrStreamInUse reports a stream that belongs to another process, of a
	// store that can't be followed.
	ErrStreamInUse = errors.New("sse: stream is in use by another process")
)

// maxEpochBytes bounds the epoch of an ID.
const maxEpochBytes = 64

// Record is one entry of a replay store's stream.
type Record struct {
	// ID is the record's own, as [FormatID] writes it. The store assigns it;
	// it is empty in what is handed to Append.
	ID string

	// Event is what was published, byte for byte and with its Key. Its own ID
	// is empty: the record's takes its place.
	Event Event

	// Topics are those it was published to, in the order given.
	Topics []string

	// Hole marks a place where events are missing that were delivered or
	// promised: who reads past it has to be told. Event and Topics of a hole
	// mean nothing.
	Hole bool
}

// ReplayStore keeps streams of records so that readers can continue where
// they left off. It decides the order: an ID is "<epoch>-<position>"
// ([FormatID]), positions rise within an epoch, though not always by one, and
// no ID is ever used twice. Every stream has an epoch of its own, kept beside
// its records; it changes whenever earlier IDs stop being comparable with
// later ones, as when the records were lost. A stream's name is any UTF-8 text
// but the empty one. The contract is executable: package replaytest.
//
// All methods may be called concurrently, and by several processes if the
// store is also a [Follower]. They return when ctx ends, with its error. What
// is passed in isn't kept, and what is returned isn't shared.
type ReplayStore interface {
	// Open creates the stream if there is none and returns its epoch and the
	// position of its newest record, zero if it never had one. Opening twice
	// changes nothing. A store that can't be followed may answer
	// [ErrStreamInUse].
	Open(ctx context.Context, stream string) (epoch string, head uint64, err error)

	// Append adds a record behind the newest one and returns the IDs of both;
	// before the first, previous has position zero. It creates the stream if
	// there is none. A record that brings an ID is [ErrIDReserved]. After an
	// error nothing was appended, except that [ErrOutcomeUnknown] leaves it
	// open.
	Append(ctx context.Context, stream string, record Record) (previous, id string, err error)

	// Since returns the records behind lastID, up to at least the head at the
	// time of ranging: every one of them, in order and once, or
	// [ErrLastIDUnknown] as soon as that can't be kept. Position zero of the
	// epoch means before the first record. An empty lastID asks for
	// everything that is still kept, and finds nothing in a stream that
	// doesn't exist. An error comes last.
	Since(ctx context.Context, stream, lastID string) iter.Seq2[Record, error]
}

// Follower is the ability of a [ReplayStore] to report what others append.
type Follower interface {
	// Follow is Since that doesn't end at the head but waits there. It ends
	// with an error only: that of ctx, [ErrLastIDUnknown] also when records
	// were dropped before it reached them, or what befell the store. It
	// creates the stream if lastID is empty and there is none.
	Follow(ctx context.Context, stream, lastID string) iter.Seq2[Record, error]
}

// Rotator is the ability of a [ReplayStore] to start a stream anew.
type Rotator interface {
	// Rotate gives the stream a new epoch and drops its records, if its epoch
	// is still oldEpoch, and returns the epoch now in force. So processes that
	// rotate at the same time agree on one.
	Rotate(ctx context.Context, stream, oldEpoch string) (epoch string, err error)
}

// Flusher is the ability of a [ReplayStore] whose Append answers before its record is stored.
type Flusher interface {
	// Flush returns when all that was appended before the call is stored, with the first error since the last Flush
	// of a record that could not be.
	Flush(ctx context.Context) error
	// Stored returns the newest position of the stream up to which every record is stored.
	Stored(stream string) uint64
}

// FormatID returns the ID of a position: "<epoch>-<position>" with the
// position in decimal. The epoch has to be one that [ParseID] accepts.
func FormatID(epoch string, position uint64) string {
	b := make([]byte, 0, maxEpochBytes+1+20)
	b = append(b, epoch...)
	b = append(b, '-')
	return string(strconv.AppendUint(b, position, 10))
}

// ParseID splits an ID that [FormatID] wrote: an epoch of 1 to 64 ASCII letters
// and digits, and a position without sign or leading zeros. Anything else is
// [ErrLastIDUnknown]; that the ID belongs to some stream is not checked.
func ParseID(id string) (epoch string, position uint64, err error) {
	epoch, digits, ok := strings.Cut(id, "-")
	if !ok || !validEpoch(epoch) {
		return "", 0, ErrLastIDUnknown
	}
	position, err = strconv.ParseUint(digits, 10, 64)
	if err != nil || digits[0] == '0' && len(digits) > 1 {
		return "", 0, ErrLastIDUnknown
	}
	return epoch, position, nil
}

func validEpoch(epoch string) bool {
	if len(epoch) == 0 || len(epoch) > maxEpochBytes {
		return false
	}
	for i := range len(epoch) {
		switch c := epoch[i]; {
		case c >= '0' && c <= '9', c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z':
		default:
			return false
		}
	}
	return true
}
