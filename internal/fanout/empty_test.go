package fanout

import (
	"bytes"
	"testing"
)

func TestSend_OfNothingSendsNothing(t *testing.T) {
	m := NewMember(sleeper{}, newPeer(1), 9)
	for _, frame := range []string{"", "data: 1\n\n", "", "data: 2\n\n", ""} {
		if err := m.Send([]byte(frame)); err != nil {
			t.Fatal(err)
		}
	}
	var p Plan
	for _, want := range []string{"data: 1\n\n", "data: 2\n\n", ""} {
		m.Plan(&p, 1<<10)
		got := string(bytes.Join(p.Bufs, nil))
		if got != want || len(p.Bufs) > 1 {
			t.Fatalf("planned %d pieces, %q, want %q", len(p.Bufs), got, want)
		}
		if rest, _ := m.Commit(&p, p.Size); len(rest) > 0 {
			t.Fatalf("%q is left", rest)
		}
	}
}
