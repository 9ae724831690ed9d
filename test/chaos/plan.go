package chaos

import (
	"fmt"
	"math/rand/v2"
	"time"
)

// faultKind is what befalls the site as a whole.
type faultKind int

const (
	killNode faultKind = iota
	killNodes
	killRedis
	pauseRedis
	faultKinds
)

func (k faultKind) String() string {
	return [...]string{"kill a node", "kill two nodes", "kill redis", "pause redis"}[k]
}

// fault is one of them.
type fault struct {
	kind  faultKind
	node  int           // which; the next one too if two are killed
	after int           // how many events are acknowledged before
	down  time.Duration // how long it lasts
}

func (f fault) String() string {
	return fmt.Sprintf("%v %d for %v after %d events", f.kind, f.node, f.down, f.after)
}

// planFaults spreads faults over a run; each kind comes at least once if there are as many.
func planFaults(seed uint64, events, n, nodes int) []fault {
	rng := rand.New(rand.NewPCG(seed, 0))
	var plan []fault
	order := rng.Perm(int(faultKinds))
	for i := range n {
		kind := killNode
		switch {
		case i < len(order):
			kind = faultKind(order[i])
		case rng.IntN(2) == 0:
			kind = faultKind(rng.IntN(int(faultKinds)))
		}
		plan = append(plan, fault{
			kind: kind, node: rng.IntN(nodes),
			after: events * (i + 1) / (n + 2),
			down:  time.Duration(100+rng.IntN(900)) * time.Millisecond,
		})
	}
	return plan
}

// cutAfter is after how many bytes a connection is cut: mostly some tens of kilobytes, and sometimes within the head.
func cutAfter(rng *rand.Rand, mean int) int {
	if rng.IntN(10) == 0 {
		return 1 + rng.IntN(400)
	}
	return 1 + int(rng.ExpFloat64()*float64(mean))
}
