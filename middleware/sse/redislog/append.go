package redislog

import (
	"context"
	"fmt"
	"runtime"
	"slices"
	"sync"

	"github.com/goceleris/celeris/middleware/sse"
)

const (
	// maxBatch and maxBatchBytes bound what is appended in one round trip, and makes one entry. One record may be larger.
	maxBatch      = 1024
	maxBatchBytes = 1 << 20
)

// batcher gathers the appends of one stream. It exists while there are some. All of it is guarded by Log.mu.
type batcher struct {
	keys    keys
	waiting []*pending
}

// pending is one append.
type pending struct {
	record []byte
	sent   bool          // guarded by Log.mu: it is part of a batch
	done   chan struct{} // has room for one; what follows is set before

	previous, id string
	unknown      bool
	err          error
}

// pendings are used again, unless their caller went away before the outcome.
var pendings = sync.Pool{New: func() any { return &pending{done: make(chan struct{}, 1)} }}

// maxPooled is the largest buffer that is kept for another record.
const maxPooled = 64 << 10

// Append implements [sse.ReplayStore].
func (l *Log) Append(ctx context.Context, stream string, record sse.Record) (previous, id string, err error) {
	if record.ID != "" || record.Event.ID != "" {
		return "", "", sse.ErrIDReserved
	}
	if ctx.Err() != nil {
		return "", "", appendError(stream, context.Cause(ctx))
	}
	p := pendings.Get().(*pending)
	p.record = appendRecord(p.record[:0], record)
	if err := l.enqueue(stream, p); err != nil {
		return "", "", appendError(stream, err)
	}
	select {
	case <-p.done:
	case <-ctx.Done():
		if l.takeBack(stream, p) {
			return "", "", appendError(stream, context.Cause(ctx))
		}
		select {
		case <-p.done: // both: what has happened counts
		default:
			return "", "", appendError(stream, fmt.Errorf("%w: %w", sse.ErrOutcomeUnknown, context.Cause(ctx)))
		}
	}
	previous, id, err = p.previous, p.id, p.err
	if err != nil && p.unknown {
		err = fmt.Errorf("%w: %w", sse.ErrOutcomeUnknown, err)
	}
	if cap(p.record) <= maxPooled {
		p.sent, p.previous, p.id, p.unknown, p.err = false, "", "", false, nil
		pendings.Put(p)
	}
	if err != nil {
		return "", "", appendError(stream, err)
	}
	return previous, id, nil
}

func appendError(stream string, err error) error {
	return fmt.Errorf("redislog: append to stream %q: %w", stream, err)
}

// enqueue hands an append to its stream's batcher.
func (l *Log) enqueue(stream string, p *pending) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return sse.ErrStoreClosed
	}
	b := l.batchers[stream]
	if b == nil {
		k, err := l.keys(stream)
		if err != nil {
			return err
		}
		b = &batcher{keys: k}
		l.batchers[stream] = b
		l.running.Go(func() { l.drain(stream, b) })
	}
	b.waiting = append(b.waiting, p)
	return nil
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
	var batch []*pending
	buf := buffers.Get().(*[]byte)
	defer buffers.Put(buf)
	for {
		if batch = l.nextBatch(stream, b, batch[:0]); len(batch) == 0 {
			return
		}
		*buf = l.send(b.keys, batch, (*buf)[:0])
		for _, p := range batch {
			p.done <- struct{}{}
		}
		clear(batch)
		if cap(*buf) > 2*maxBatchBytes {
			*buf = nil
		}
		runtime.Gosched() // those who have their answer may append again: the larger the next batch
	}
}

// buffers are used again for the records of a batch.
var buffers = sync.Pool{New: func() any { return new([]byte) }}

// nextBatch takes what waits, as far as it fits into one round trip, and appends it to batch. If nothing does, the
// batcher is gone.
func (l *Log) nextBatch(stream string, b *batcher, batch []*pending) []*pending {
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
		return batch
	}
	batch = append(batch, b.waiting[:n]...)
	b.waiting = slices.Delete(b.waiting, 0, n)
	return batch
}

// send appends a batch and notes in each what became of it. The batch serves many callers and doesn't end with one of
// their contexts. It uses buf for the records, and returns it.
func (l *Log) send(k keys, batch []*pending, buf []byte) []byte {
	for _, p := range batch {
		buf = append(buf, p.record...)
	}
	var epoch string
	var before, head uint64
	reply, unknown, err := l.call(context.Background(), appendScript, k, true,
		[]any{l.ttl(), newEpoch(), l.cfg.MaxLen, len(batch), buf})
	if err == nil {
		epoch, before, head, err = parseAppended(reply)
		unknown = err != nil
	}
	previous := sse.FormatID(epoch, before)
	for i, p := range batch {
		if err != nil {
			p.unknown, p.err = unknown, err
			continue
		}
		p.previous, p.id = previous, sse.FormatID(epoch, head-uint64(len(batch)-1-i))
		previous = p.id
	}
	return buf
}

// parseAppended reads the answer of the script that appends.
func parseAppended(reply []string) (epoch string, before, head uint64, err error) {
	epoch, before, err = parseState(reply)
	if err != nil {
		return "", 0, 0, err
	}
	head, ok := uint64(0), false
	if len(reply) == 3 {
		head, ok = parsePosition(reply[2])
	}
	if !ok {
		return "", 0, 0, fmt.Errorf("unexpected answer %.200q", reply)
	}
	return epoch, before, head, nil
}
