package fanout

import "testing"

func TestQuiet_IsTrueWhenNothingIsDue(t *testing.T) {
	c := newTestCore(t, Config{})
	p := open(t, c, "", "a")
	quiet := func(when string, want bool, bytes int) {
		t.Helper()
		if p.Quiet() != want || p.Queued() != bytes {
			t.Errorf("%s: Quiet() = %v with %d bytes queued, want %v with %d", when, p.Quiet(), p.Queued(), want, bytes)
		}
	}
	quiet("at the head", true, 0)
	publish(t, c, 1, "a")
	quiet("with a frame due", false, 0)
	p.expect(t, "e1@1")
	quiet("behind it", true, 0)
	if err := p.Send([]byte("data: private\n\n")); err != nil {
		t.Fatal(err)
	}
	quiet("with a private frame", false, 15)
	p.Next(nil, 1<<10)
	quiet("when that is handed out", true, 0)
	p.Lose()
	quiet("with a loss to tell", false, 0)
	p.Next(nil, 1<<10)
	quiet("when it is told", true, 0)
	p.Finish(nil, nil, false)
	quiet("while it ends", false, 0)
}

func TestQuiet_WithoutACore(t *testing.T) {
	m := NewMember(sleeper{}, newPeer(1), 9)
	if !m.Quiet() {
		t.Error("a new member is not quiet")
	}
	m.Cut(errCut)
	if m.Quiet() {
		t.Error("a cut one is")
	}
}
