package sse

import (
	"context"
	"fmt"
)

// letGo ends this process's use of a stream: what is left of its block is void, the lease free.
func (s *kvReplay) letGo(ctx context.Context, st *kvStream) {
	if !s.leased {
		return
	}
	if st.takeTurn(ctx) != nil {
		return
	}
	defer st.endTurn()
	st.mu.Lock()
	e, block, held := st.epoch, st.block, st.held()
	st.block = kvBlock{}
	unstored := e != nil && (len(e.pending) > 0 || e.unclean)
	st.mu.Unlock()
	if e != nil && held && block.epoch == e && !unstored {
		err := each(ctx, kvGets, int(block.end+1-block.next), func(ctx context.Context, i int) error {
			return s.fillSurely(ctx, st, e, block.next+uint64(i), kvVoid)
		})
		if err == nil {
			_ = s.kv.Delete(ctx, st.keys.open(e.id)) // if it stays, the next holder looks in vain
		}
	}
	s.giveUp(ctx, st)
}

// Close implements [KVReplayStore].
func (s *kvReplay) Close(ctx context.Context) error {
	s.mu.Lock()
	if !s.closed {
		s.closed = true
		go s.end()
	}
	s.mu.Unlock()
	select {
	case <-s.ended:
		return nil
	case <-ctx.Done():
	}
	s.stop(ErrStoreClosed)
	<-s.wrote
	return fmt.Errorf("sse: close replay store: %w", context.Cause(ctx))
}

// end ends everything: first what was appended, then leases, then their renewal.
func (s *kvReplay) end() {
	s.writes.Wait()
	streams := s.all()
	_ = each(s.work, kvGets, len(streams), func(ctx context.Context, i int) error {
		ctx, cancel := context.WithTimeout(ctx, s.config.Timeout)
		defer cancel()
		s.letGo(ctx, streams[i])
		return nil
	})
	s.stop(ErrStoreClosed)
	close(s.wrote)
	s.loops.Wait()
	close(s.ended)
}
