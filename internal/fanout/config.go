package fanout

import (
	"cmp"
	"context"
	"log/slog"
	"time"
)

// Defaults of [Config].
const (
	DefaultSubscriberBuffer = 1024
	DefaultMaxLagBytes      = 1 << 20
	DefaultHistory          = 1024
	DefaultHistoryAge       = 10 * time.Minute
	DefaultHistoryBytes     = 64 << 20
	DefaultMaxTopics        = 10_000
	DefaultMaxFrame         = 1 << 20
	DefaultMaxCallbacks     = 4096
	DefaultSnapshotTimeout  = 5 * time.Second
	// MaxTopicsPerMember bounds the topics of one member, and of one publish.
	MaxTopicsPerMember = 1000
)

// Verdict is what becomes of a slow member.
type Verdict int

// Verdicts. The zero value is Drop.
const (
	Drop    Verdict = iota // skip to the head and tell the member
	Remove                 // no more frames; the connection stays
	Close                  // farewell and end
	CatchUp                // serve it from the logs: it is judged again once it has been within its limits
	Latest                 // skip what a newer frame of the same key makes obsolete, until it has caught up
)

// Reasons of a [Notice].
const (
	Lagged    = "lagged"     // an attached member was dropped
	Expired   = "expired"    // the position left retention before the member came back
	Hole      = "hole"       // frames are missing behind the position, nobody knows which
	Restarted = "restarted"  // the position is of another epoch
	UnknownID = "unknown_id" // the position is malformed or in the future
	New       = "new"        // the member came without a position; only a snapshot is built for it
	Removed   = "removed"    // unstamped: the member gets no more frames
	Private   = "private"    // unstamped: private frames were dropped
)

// Notice tells a member that it lost frames.
type Notice struct {
	Reason string
	// Dropped is the number of distinct frames that were due and are skipped; 0 where the logs no longer
	// reach back to the member's position.
	Dropped int
	// Epoch and Position are where the member goes on, if Stamped.
	Epoch    string
	Position Position
	Stamped  bool
}

// Framing writes the parts of a protocol that depend on a position.
type Framing interface {
	// MaxStamp bounds what AppendStamp appends, in bytes.
	MaxStamp(epoch string) int
	// AppendStamp appends what stands in front of every frame in a log.
	AppendStamp(b []byte, epoch string, p Position) []byte
	// AppendNotice appends a whole frame that tells of a loss.
	AppendNotice(b []byte, n Notice) []byte
	// AppendConflated appends a whole frame, without a position, that tells of n frames skipped by Latest.
	AppendConflated(b []byte, n int) []byte
	// AppendPosition appends a whole frame that only carries a position.
	AppendPosition(b []byte, epoch string, p Position) []byte
}

// Lag is what [Config.OnSlow] learns of a slow member.
type Lag struct {
	Frames int // frames due behind what is being sent
	Bytes  int // their bytes
}

// Config configures a [Core]. Zero values mean the defaults above.
type Config struct {
	Framing Framing
	// Epoch and Floor are where a log goes on that somebody else keeps: positions up to Floor are in the past.
	// Without an Epoch the core makes its own.
	Epoch string
	Floor Position
	// Source has what memory has forgotten; nil if nobody has.
	Source           Source
	SubscriberBuffer int           // lag limit in frames
	MaxLagBytes      int           // lag limit in bytes
	History          int           // frames per topic; raised to SubscriberBuffer
	HistoryAge       time.Duration // after which frames and topics nobody follows are forgotten
	HistoryBytes     int           // memory of all logs; raised to MaxLagBytes
	MaxTopics        int
	MaxFrame         int // bytes of one frame without its stamp
	MaxCallbacks     int
	// OnSlow is asked once per episode, on a goroutine of its own; nil means Drop.
	OnSlow func(owner Owner, lag Lag) Verdict
	// Evicted is told of a verdict of Remove or Close that was carried out, on the goroutine of OnSlow.
	Evicted func(owner Owner, v Verdict, lag Lag)
	// Snapshot builds the frame body that replaces a notice; it is stamped with the notice's position. It
	// runs on a goroutine of its own; after SnapshotTimeout its answer is ignored.
	Snapshot        func(ctx context.Context, owner Owner, n Notice) ([]byte, error)
	SnapshotTimeout time.Duration
	// LossesOnly keeps Snapshot from being asked for members that are new.
	LossesOnly bool
	Logger     *slog.Logger
}

func (c Config) withDefaults() Config {
	c.SubscriberBuffer = cmp.Or(c.SubscriberBuffer, DefaultSubscriberBuffer)
	c.MaxLagBytes = cmp.Or(c.MaxLagBytes, DefaultMaxLagBytes)
	c.History = max(cmp.Or(c.History, DefaultHistory), c.SubscriberBuffer)
	c.HistoryAge = cmp.Or(c.HistoryAge, DefaultHistoryAge)
	c.HistoryBytes = max(cmp.Or(c.HistoryBytes, DefaultHistoryBytes), c.MaxLagBytes)
	c.MaxTopics = cmp.Or(c.MaxTopics, DefaultMaxTopics)
	c.MaxFrame = cmp.Or(c.MaxFrame, DefaultMaxFrame)
	c.MaxCallbacks = cmp.Or(c.MaxCallbacks, DefaultMaxCallbacks)
	c.SnapshotTimeout = cmp.Or(c.SnapshotTimeout, DefaultSnapshotTimeout)
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
	return c
}
