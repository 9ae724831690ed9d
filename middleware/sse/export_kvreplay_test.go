package sse

// LimitKVStreams sets how many streams a KV replay store remembers.
func LimitKVStreams(s KVReplayStore, n int) {
	switch s := s.(type) {
	case *kvReplay:
		s.most = n
	case *kvSharedReplay:
		s.most = n
	case *kvAsyncReplay:
		s.most = n
	}
}

// CountKVStreams returns how many streams a KV replay store remembers.
func CountKVStreams(s KVReplayStore) int {
	switch s := s.(type) {
	case *kvReplay:
		return len(s.all())
	case *kvSharedReplay:
		return len(s.all())
	case *kvAsyncReplay:
		return len(s.all())
	}
	return 0
}
