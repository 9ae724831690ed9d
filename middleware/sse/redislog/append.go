package redislog

import (
	"context"
	"fmt"
	"slices"

	"github.com/goceleris/celeris/middleware/sse"
)

const (
	// maxBatch and maxBatchBytes bound what is appended in one round trip. One record may be larger.
	maxBatch      = 256
	maxBatchBytes = 1 << 20
)

// batcher gathers the appends of one stream. It exists while there are some.
type batcher struct {
	keys    keys
	waiting []*pending // guarded by Log.mu
}

// pending is one append.
type pending struct {
	record []byte
	sent   bool          // guarded by Log.mu: it is part of a batch
	done   chan struct{} // closed when what follows is set

	previous, id string
	unknown      bool
	err          error
}

// Append implements [sse.ReplayStore].
func (l *Log) Append(ctx context.Context, stream string, record sse.Record) (previous, id string, err error) {
	if record.ID != "" || record.Event.ID != "" {
		return "", "", sse.ErrIDReserved
	}
	k, err := l.keys(stream)
	if err != nil {
		return "", "", err
	}
	if ctx.Err() != nil {
		return "", "", fmt.Errorf("redislog: append to stream %q: %w", stream, context.Cause(ctx))
	}
	p := &pending{record: encode(record), done: make(chan struct{})}
	if !l.enqueue(stream, k, p) {
		return "", "", fmt.Errorf("redislog: append to stream %q: %w", stream, ErrClosed)
	}
	select {
	case <-p.done:
	case <-ctx.Done():
		select {
		case <-p.done: // both: what has happened counts
		default:
			err := context.Cause(ctx)
			if l.takeBack(stream, p) {
				return "", "", fmt.Errorf("redislog: append to stream %q: %w", stream, err)
			}
			return "", "", fmt.Errorf("redislog: append to stream %q: %w: %w", stream, sse.ErrOutcomeUnknown, err)
		}
	}
	switch {
	case p.err == nil:
		return p.previous, p.id, nil
	case p.unknown:
		return "", "", fmt.Errorf("redislog: append to stream %q: %w: %w", stream, sse.ErrOutcomeUnknown, p.err)
	default:
		return "", "", fmt.Errorf("redislog: append to stream %q: %w", stream, p.err)
	}
}

// enqueue hands an append to its stream's batcher.
func (l *Log) enqueue(stream string, k keys, p *pending) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return false
	}
	b := l.batchers[stream]
	if b != nil {
		b.waiting = append(b.waiting, p)
		return true
	}
	b = &batcher{keys: k, waiting: []*pending{p}}
	l.batchers[stream] = b
	l.running.Go(func() { l.drain(stream, b) })
	return true
}

// takeBack removes an append that no batch contains yet.
func (l *Log) takeBack(stream string, p *pending) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if p.sent {
		return false
	}
	b := l.batchers[stream]
	b.waiting = slices.DeleteFunc(b.waiting, func(q *pending) bool { return q == p })
	return true
}

// drain sends batches until nothing waits.
func (l *Log) drain(stream string, b *batcher) {
	for batch := l.nextBatch(stream, b); batch != nil; batch = l.nextBatch(stream, b) {
		l.send(b.keys, batch)
		for _, p := range batch {
			close(p.done)
		}
	}
}

// nextBatch takes what waits, as far as it fits into one round trip. If nothing does, the batcher is gone.
func (l *Log) nextBatch(stream string, b *batcher) []*pending {
	l.mu.Lock()
	defer l.mu.Unlock()
	n, size := 0, 0
	for n < min(len(b.waiting), maxBatch) {
		size += len(b.waiting[n].record)
		if n > 0 && size > maxBatchBytes {
			break
		}
		b.waiting[n].sent = true
		n++
	}
	if n == 0 {
		delete(l.batchers, stream)
		return nil
	}
	batch := slices.Clone(b.waiting[:n])
	b.waiting = slices.Delete(b.waiting, 0, n)
	return batch
}

// send appends a batch and notes in each what became of it. The batch serves many callers and doesn't end with one of
// their contexts.
func (l *Log) send(k keys, batch []*pending) {
	args := make([]any, 0, 3+len(batch))
	args = append(args, l.ttl(), newEpoch(), l.cfg.MaxLen)
	for _, p := range batch {
		args = append(args, p.record)
	}
	reply, unknown, err := l.call(context.Background(), appendScript, k, true, args)
	var epoch string
	var head uint64
	if err == nil {
		if epoch, head, err = parseState(reply); err == nil && len(reply) != 2+len(batch) {
			err = fmt.Errorf("%d IDs for %d records", len(reply)-2, len(batch))
		}
		unknown = err != nil
	}
	previous := sse.FormatID(epoch, head)
	for i, p := range batch {
		if err == nil {
			position, ok := parsePosition(reply[2+i])
			if ok {
				p.previous, p.id = previous, sse.FormatID(epoch, position)
				previous = p.id
				continue
			}
			unknown, err = true, fmt.Errorf("unexpected ID %.200q", reply[2+i])
		}
		p.unknown, p.err = unknown, err
	}
}
