package chaos

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"
)

const batchSize = 20

// publisher publishes batches through any node until enough is acknowledged.
type publisher struct {
	fleet  *fleet
	ledger *ledger
	rng    *rand.Rand
	http   http.Client
}

func newPublisher(f *fleet, l *ledger, i int, seed uint64) *publisher {
	return &publisher{fleet: f, ledger: l, rng: rand.New(rand.NewPCG(seed, uint64(i)+1<<32)), http: http.Client{Transport: &http.Transport{}}}
}

func (p *publisher) run(ctx context.Context) {
	defer p.http.CloseIdleConnections()
	for ctx.Err() == nil {
		batch, done := p.ledger.take(1 + p.rng.IntN(batchSize))
		if done {
			return
		}
		if len(batch) == 0 || !p.publish(ctx, batch) { // until others have their answers, or a node is up
			select {
			case <-time.After(20 * time.Millisecond):
			case <-ctx.Done():
			}
		}
	}
}

// publish returns false if nothing was acknowledged.
func (p *publisher) publish(ctx context.Context, batch []int) (some bool) {
	open := make(map[int]bool)
	var body bytes.Buffer
	for _, n := range batch {
		open[n] = true
		fmt.Fprintln(&body, n, topicsOf(n), strings.Repeat("x", p.rng.IntN(100)))
	}
	refused := false
	defer func() {
		for n := range open {
			p.ledger.settle(n, "", refused)
		}
	}()
	addr := p.fleet.any(p.rng)
	if addr == "" {
		refused = true
		return false
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+addr+"/publish", &body)
	if err != nil {
		refused = true
		return false
	}
	r.GetBody = nil // never twice
	response, err := p.http.Do(r)
	if err != nil {
		failure, ok := errors.AsType[*net.OpError](err)
		refused = ok && failure.Op == "dial"
		return false
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		refused = true // it did not get to the handler
		return false
	}
	for lines := bufio.NewScanner(response.Body); lines.Scan(); {
		words := strings.SplitN(lines.Text(), " ", 3)
		n, err := strconv.Atoi(words[min(1, len(words)-1)])
		if err != nil || len(words) < 3 || !open[n] {
			continue // the process died within the line
		}
		switch words[0] {
		case "ok":
			p.ledger.settle(n, words[2], false)
			some = true
		case "no":
			p.ledger.settle(n, "", true)
		default:
			p.ledger.settle(n, "", false)
		}
		delete(open, n)
	}
	return some
}
