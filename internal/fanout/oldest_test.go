package fanout

import "testing"

func TestOpen_WithAsMuchOfThePastAsThereIs(t *testing.T) {
	c := newTestCore(t, Config{History: 3, SubscriberBuffer: 1})
	open(t, c, Oldest, "new").expect(t, "")
	publishAll(t, c, 1, 5, "a")
	publish(t, c, 6, "b")
	open(t, c, Oldest, "a").expect(t, "e3@3 e4@4 e5@5")
	open(t, c, Oldest, "b").expect(t, "e6@6")
	p := open(t, c, Oldest, "a", "b")
	p.expect(t, "e3@3 e4@4 e5@5 e6@6")
	publish(t, c, 7, "a")
	p.expect(t, "e7@7")
}
