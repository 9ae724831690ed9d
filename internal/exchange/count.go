package exchange

import (
	"slices"
	"sync/atomic"

	"github.com/goceleris/celeris/engine"
)

var kinds = engine.EndKinds()

// ends counts streams by the kind of their end.
type ends [16]atomic.Int64 // room for all kinds, in their order

// Ended counts a stream that has ended, before it is removed.
func (h *Host) Ended(end engine.End) { h.ends[slices.Index(kinds, end.Kind())].Add(1) }

// Ends returns how many streams ended in each way; ways in which none did are left out.
func (h *Host) Ends() map[engine.EndKind]int64 {
	m := make(map[engine.EndKind]int64)
	for i, kind := range kinds {
		if n := h.ends[i].Load(); n > 0 {
			m[kind] = n
		}
	}
	return m
}

// Opened returns how many streams were ever registered.
func (h *Host) Opened() int64 {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.opened
}

// Written counts the bytes that streams wrote themselves: those of an engine are not among them.
func (h *Host) Written() *atomic.Int64 { return &h.bytes }
