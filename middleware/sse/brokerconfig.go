package sse

import (
	"context"
	"log/slog"
	"time"
)

// BrokerPolicy is what becomes of a subscriber that is too slow.
type BrokerPolicy int

// Policies for slow subscribers.
const (
	// BrokerPolicyDrop skips to the newest event; the subscriber gets a resync event that says how many it
	// lost.
	BrokerPolicyDrop BrokerPolicy = iota
	// BrokerPolicyRemove takes the subscriber's topics away: it gets a resync event with reason "removed" and no
	// more events of the broker. Its connection stays, and so do its private sends.
	BrokerPolicyRemove
	// BrokerPolicyClose says farewell and ends the stream, as soon as the event that is being sent is complete.
	BrokerPolicyClose
	// BrokerPolicyCatchUp serves the subscriber from the history, however far it is behind; it is judged again once it
	// has been within its limits. What leaves the history first is lost to it, with a resync event.
	BrokerPolicyCatchUp
	// BrokerPolicyLatest skips an event when a newer one with the same Event.Key, published to the same topics at least,
	// is due to the subscriber too. Events without a key are not skipped. When it has caught up it gets the event
	// "conflated" with data {"skipped":N} and no id. If even what is left is beyond the limits, it is dropped.
	BrokerPolicyLatest
)

// SlowSubscriber tells OnSlowSubscriber how far a subscriber is behind.
type SlowSubscriber struct {
	Client *Client
	Events int // events due behind what is being sent
	Bytes  int // their size
}

// SnapshotRequest says for whom and as of when a snapshot is built.
type SnapshotRequest struct {
	Client *Client
	// Topics are those that the client follows now.
	Topics []string
	// Reason is that of the resync event which the snapshot replaces, or "new" for a client that came without a
	// position.
	Reason string
	// Dropped is how many events the client lost, 0 if that is not known.
	Dropped int
	// ID is the position as of which the snapshot is taken: every event up to it must be part of the state, later
	// ones follow. An application that changes its state before it publishes has that by itself.
	ID string
}

// BrokerConfig configures a [Broker]. The zero value works.
type BrokerConfig struct {
	// SubscriberBuffer is how many events a subscriber may be behind while its connection takes no bytes. Zero
	// means 1024.
	SubscriberBuffer int
	// MaxLagBytes is the same in bytes. Zero means 1 MiB.
	MaxLagBytes int
	// History is how many events of a topic can be resumed from, at least. Zero means 1024; less than
	// SubscriberBuffer means as many as that.
	History int
	// HistoryAge is after which time events may be forgotten, and a topic is that nobody follows or publishes to.
	// Zero means 10 minutes.
	HistoryAge time.Duration
	// HistoryBytes bounds the memory of all topics' history: above it the oldest events go first, even those within
	// History, but never the newest event of a topic. Zero means 64 MiB; less than MaxLagBytes means as many.
	HistoryBytes int
	// MaxTopics bounds the number of topics: for one more, the topic goes that nobody follows and that was idle the
	// longest. Zero means 10,000.
	MaxTopics int
	// MaxEventBytes bounds one event in its wire form. Zero means 1 MiB.
	MaxEventBytes int
	// OnSlowSubscriber decides about a subscriber that is beyond its limits. It is asked once per episode, on a
	// goroutine of its own, while the subscriber is served on; a verdict that comes after it has recovered is void.
	// Nil means BrokerPolicyDrop. A panic closes that client.
	OnSlowSubscriber func(SlowSubscriber) BrokerPolicy
	// MaxCallbacks bounds how many calls of OnSlowSubscriber and Snapshot run at once. Above it slow subscribers wait
	// for their verdict and snapshots are replaced by plain resync events. Zero means 4096.
	MaxCallbacks int
	// Snapshot, if set, builds the event that a client gets instead of a resync event, and first of all when it comes
	// without a position. It runs on a goroutine of its own; the client's later events wait for it, for
	// SnapshotTimeout at most. With an error or too late, the plain resync event is sent. A panic closes that client.
	Snapshot func(ctx context.Context, r SnapshotRequest) (Event, error)
	// SnapshotTimeout bounds Snapshot. Zero means 5 s.
	SnapshotTimeout time.Duration
	// ReplayStore keeps what is published, so that clients resume across restarts and, if it is a [Follower], on every
	// process that shares the Stream: what one publishes reaches the clients of all. A store that can't be followed belongs
	// to one process. Nil means that the history is that of this broker. A [RingBuffer] is refused: the broker has one.
	ReplayStore ReplayStore
	// Stream names the broker's stream in the ReplayStore. Empty means "events".
	Stream string
	// StoreTimeout bounds each call of the ReplayStore. Zero means 5 s.
	StoreTimeout time.Duration
	// StoreOptional lets events go out while the ReplayStore fails, to those who are there, without an id: who is away
	// then misses them. When it is back, a mark in the stream tells everybody whose position is from before (a resync event
	// with reason "hole"); if this process ends before, nobody is told. A broker whose store can't be opened starts
	// without, and its clients get a resync event ("restarted") when it is there. Without StoreOptional such events are
	// not published, and such a broker does not start.
	StoreOptional bool
	// Logger gets panics and failures of callbacks, and evictions of slow subscribers, of these one line in 10 s at most.
	// Nil means [slog.Default].
	Logger *slog.Logger
}
