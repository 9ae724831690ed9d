package property

import (
	"context"
	"sync"
)

// counts are numbers of events by topic.
type counts [topics]int

func (c *counts) add(s set) {
	for t := range topics {
		if s.has(t) {
			c[t]++
		}
	}
}

// pace keeps publishers from running away from the clients that are connected, and counts what is published.
//
// Publishers work in batches. A batch begins when every connected client has come up to where the last one began, so
// that no client is ever more than two batches behind.
type pace struct {
	batch int

	mu        sync.Mutex
	changed   *sync.Cond // a client came up, or a batch began, or it is all over
	ctx       context.Context
	size      int                   // events in the batch
	begun     counts                // events given to Publish
	done      counts                // events that it has returned from
	newest    [allTopics + 1]uint64 // their newest position, for every set of topics that a client can have
	mark      [allTopics + 1]uint64 // the same when the batch began
	connected map[*follower]uint64  // with the position they have reached
	end       uint64                // position of the last event of all, once it is out
}

func newPace(ctx context.Context, batch int) *pace {
	p := &pace{batch: batch, ctx: ctx, connected: make(map[*follower]uint64)}
	p.changed = sync.NewCond(&p.mu)
	context.AfterFunc(ctx, func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.changed.Broadcast()
	})
	return p
}

// begin is called before an event is published; it waits for its batch.
func (p *pace) begin(s set) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	for p.size == p.batch && p.ctx.Err() == nil {
		if p.behind() {
			p.changed.Wait()
			continue
		}
		p.size, p.mark = 0, p.newest
		p.changed.Broadcast()
	}
	p.size++
	p.begun.add(s)
	return p.ctx.Err()
}

func (p *pace) behind() bool {
	for f, position := range p.connected {
		if position < p.mark[f.topics] {
			return true
		}
	}
	return false
}

// published is called when an event is out.
func (p *pace) published(s set, position uint64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.done.add(s)
	for follows := range p.newest {
		if set(follows)&s != 0 {
			p.newest[follows] = max(p.newest[follows], position)
		}
	}
}

// finish is called when the last event is out.
func (p *pace) finish(position uint64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.end = position
	p.changed.Broadcast()
}

// connect is called before a request is sent. It returns how many events are published for certain. A client counts
// as up to date until it has caught up: publishers go on while it resumes.
func (p *pace) connect(f *follower) counts {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.connected[f] = p.newest[f.topics]
	return p.done
}

func (p *pace) disconnect(f *follower) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.connected, f)
	p.changed.Broadcast()
}

// reached is called with the position of a connected client. It reports whether the client has seen everything.
func (p *pace) reached(f *follower, position uint64) (all bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	before := p.connected[f]
	if position > before {
		p.connected[f] = position
		if m := p.mark[f.topics]; before < m && position >= m {
			p.changed.Broadcast()
		}
	}
	return p.end != 0 && position >= p.end
}

// target is the position that a client which resumes now has to reach to have caught up.
func (p *pace) target(f *follower) uint64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.newest[f.topics]
}

// started returns how many events may be published.
func (p *pace) started() counts {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.begun
}

// await waits until n more events of topic are published, or all are.
func (p *pace) await(topic, n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for n += p.done[topic]; p.done[topic] < n && p.end == 0 && p.ctx.Err() == nil; {
		p.changed.Wait()
	}
}
