package sse

import "github.com/goceleris/celeris/internal/fanout"

// recentEntries is how many entries of a log are remembered by their digest.
const recentEntries = 256

// recent knows the newest entries of a log: a store that names one of their positions for something else has lost them.
type recent struct {
	list []recentEntry
	next int // the place of the oldest, once the list is full
}

type recentEntry struct {
	pos    fanout.Position
	digest uint64
}

func (r *recent) add(p fanout.Position, digest uint64) {
	if len(r.list) < recentEntries {
		r.list = append(r.list, recentEntry{p, digest})
		return
	}
	r.list[r.next] = recentEntry{p, digest}
	r.next = (r.next + 1) % recentEntries
}

// digest returns that of the entry at p, if it is known.
func (r *recent) digest(p fanout.Position) (uint64, bool) {
	i, j := r.next, len(r.list)
	for j > 0 { // positions rise from next on
		h := j / 2
		e := r.list[(i+h)%len(r.list)]
		switch {
		case e.pos == p:
			return e.digest, true
		case e.pos < p:
			i, j = i+h+1, j-h-1
		default:
			j = h
		}
	}
	return 0, false
}

// reaches reports whether an entry at p, which is not above the newest, would be known.
func (r *recent) reaches(p fanout.Position) bool {
	return len(r.list) > 0 && r.list[r.next%len(r.list)].pos <= p
}
