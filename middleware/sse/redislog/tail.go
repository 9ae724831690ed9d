package redislog

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/goceleris/celeris/middleware/sse"
)

const (
	// blockTime is how long one XREAD waits. A stream that joins a tail is read from the next one on.
	blockTime = 250 * time.Millisecond

	// maxTailEntries and tailBytes bound what a tail asks for, and keeps for followers that are busy, per stream. The
	// latter is exceeded until the number has adapted to the size of the entries.
	maxTailEntries = 256
	tailBytes      = 1 << 20
)

// tail waits for news of one or several streams with one XREAD at a time, for all their followers in this process. Its
// goroutine lives as long as there are some.
type tail struct {
	log     *Log
	name    string
	streams map[string]*tailed // by the log's key; guarded by Log.mu
	count   int                // entries per stream and XREAD; the goroutine's
}

// tailed is a stream of a tail. All of it is guarded by Log.mu.
type tailed struct {
	followers map[*follower]struct{}
	seen      uint64        // XREAD goes on behind this
	news      []entry       // the last ones up to seen, while a follower may want them
	size      int           // bytes of news
	changed   chan struct{} // closed at the next change, if somebody waits
	err       error         // what ended it
}

// follower is one reader of a tailed stream.
type follower struct {
	tail     *tail
	key      string
	stream   *tailed
	position uint64 // guarded by Log.mu: it has been given what is up to here
}

// join adds a follower that has read up to the position. It returns nil when the Log is closed.
func (l *Log) join(key string, position uint64) *follower {
	name := key
	if _, single := l.cfg.Client.(*redis.Client); single {
		name = "" // elsewhere one command can't read streams of several slots
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return nil
	}
	t := l.tails[name]
	if t == nil {
		t = &tail{log: l, name: name, streams: make(map[string]*tailed), count: 16}
		l.tails[name] = t
		defer l.running.Go(t.run)
	}
	s := t.streams[key]
	if s == nil {
		s = &tailed{followers: make(map[*follower]struct{}), seen: position}
		t.streams[key] = s
	}
	f := &follower{tail: t, key: key, stream: s, position: position}
	s.followers[f] = struct{}{}
	return f
}

// leave removes a follower. The last one takes its stream along.
func (f *follower) leave() {
	f.tail.log.mu.Lock()
	defer f.tail.log.mu.Unlock()
	delete(f.stream.followers, f)
	if len(f.stream.followers) == 0 && f.tail.streams[f.key] == f.stream {
		delete(f.tail.streams, f.key)
	}
	f.stream.forget()
}

// wait returns the entries behind the position as soon as there are some. It reports false if there are but the tail
// doesn't have them all, or when verify fires.
func (f *follower) wait(ctx context.Context, position uint64, verify <-chan time.Time) (entries []entry, ok bool, err error) {
	for {
		entries, changed, err := f.take(position)
		if entries != nil || err != nil {
			return entries, true, err
		}
		if changed == nil {
			return nil, false, nil
		}
		select {
		case <-changed:
		case <-verify:
			return nil, false, nil
		case <-f.tail.log.closing:
			return nil, true, sse.ErrStoreClosed
		case <-ctx.Done():
			return nil, true, context.Cause(ctx)
		}
	}
}

// take returns what the tail has behind the position, or a channel that is closed when there may be more. It returns
// neither if the tail is further and has not kept what is between.
func (f *follower) take(position uint64) ([]entry, <-chan struct{}, error) {
	f.tail.log.mu.Lock()
	defer f.tail.log.mu.Unlock()
	s := f.stream
	if s.err != nil {
		return nil, nil, s.err
	}
	f.position = position
	if s.seen <= position {
		s.forget()
		if s.changed == nil {
			s.changed = make(chan struct{})
		}
		return nil, s.changed, nil
	}
	i := slices.IndexFunc(s.news, func(e entry) bool { return e.position > position })
	if i < 0 || i == 0 && !s.news[0].continues(cursor{position: position}) {
		f.position = s.seen // it reads them itself
		s.forget()
		return nil, nil, nil
	}
	entries := slices.Clone(s.news[i:])
	f.position = s.seen
	s.forget()
	return entries, nil, nil
}

// forget drops the news that no follower wants any more.
func (s *tailed) forget() {
	for f := range s.followers {
		if f.position < s.seen {
			return
		}
	}
	s.news, s.size = nil, 0
}

// notify wakes who waits.
func (s *tailed) notify() {
	if s.changed != nil {
		close(s.changed)
		s.changed = nil
	}
}

// run reads until there are no followers or Redis fails.
func (t *tail) run() {
	for streams := t.next(); streams != nil; streams = t.next() {
		reply, err := t.log.cfg.Client.XRead(context.Background(), &redis.XReadArgs{
			Streams: streams, Count: int64(t.count), Block: blockTime,
		}).Result()
		if errors.Is(err, redis.Nil) {
			continue
		}
		if err != nil {
			t.fail(err)
			continue
		}
		t.deliver(reply)
	}
}

// next returns the streams to read, their keys first and then their IDs. Without any the tail is gone.
func (t *tail) next() []string {
	t.log.mu.Lock()
	defer t.log.mu.Unlock()
	if len(t.streams) == 0 || t.log.closed {
		delete(t.log.tails, t.name)
		return nil
	}
	streams := make([]string, 0, 2*len(t.streams))
	for key := range t.streams {
		streams = append(streams, key)
	}
	for _, key := range streams[:len(t.streams)] {
		streams = append(streams, streamID(t.streams[key].seen))
	}
	return streams
}

// fail ends all streams of the tail: their followers learn why.
func (t *tail) fail(err error) {
	t.log.mu.Lock()
	defer t.log.mu.Unlock()
	for _, s := range t.streams {
		s.err = err
		s.notify()
	}
	clear(t.streams)
}

// deliver hands what was read to the followers.
func (t *tail) deliver(reply []redis.XStream) {
	t.log.mu.Lock()
	defer t.log.mu.Unlock()
	most, full := 0, false
	for _, r := range reply {
		full = full || len(r.Messages) == t.count
		s := t.streams[r.Stream]
		if s == nil {
			continue
		}
		fetched := s.add(r.Messages)
		most = max(most, fetched)
	}
	switch {
	case most > tailBytes:
		t.count = max(1, t.count/4)
	case full && most < tailBytes/4:
		t.count = min(2*t.count, maxTailEntries)
	}
}

// add appends messages to the news, and returns their size.
func (s *tailed) add(messages []redis.XMessage) (size int) {
	for _, m := range messages {
		before, _ := m.Values["p"].(string)
		n, _ := m.Values["n"].(string)
		stored, _ := m.Values["r"].(string)
		e, err := parseEntry(m.ID, before, n, stored)
		if err != nil || e.position <= s.seen {
			continue
		}
		size += len(stored)
		s.news = append(s.news, e)
		s.seen = e.position
	}
	if s.size += size; len(s.news) > 4*maxTailEntries || s.size > 4*tailBytes {
		s.news, s.size = nil, 0 // whoever is that far behind reads them itself
	}
	s.notify()
	return size
}
