package sse

import (
	"context"

	"github.com/goceleris/celeris/internal/fanout"
)

func (b *Broker) slow(o fanout.Owner, lag fanout.Lag) fanout.Verdict {
	switch b.cfg.OnSlowSubscriber(SlowSubscriber{Client: (*Client)(o.(*owner)), Events: lag.Frames, Bytes: lag.Bytes}) {
	case BrokerPolicyRemove:
		return fanout.Remove
	case BrokerPolicyClose:
		return fanout.Close
	case BrokerPolicyCatchUp:
		return fanout.CatchUp
	case BrokerPolicyLatest:
		return fanout.Latest
	default:
		return fanout.Drop
	}
}

func (b *Broker) snapshot(ctx context.Context, o fanout.Owner, n fanout.Notice) ([]byte, error) {
	c := (*Client)(o.(*owner))
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	life := c.Context()
	defer context.AfterFunc(life, func() { cancel(context.Cause(life)) })()
	e, err := b.cfg.Snapshot(ctx, SnapshotRequest{
		Client: c, Topics: c.member.Topics(), Reason: n.Reason, Dropped: n.Dropped,
		ID: string(fanout.AppendID(nil, n.Epoch, n.Position)),
	})
	if err != nil {
		return nil, err
	}
	if e.ID != "" {
		return nil, ErrIDReserved
	}
	return e.wire()
}
