package fanout

// Oldest is for [Core.Open]: as much of the past as there is.
const Oldest = "*"

// oldest is the id behind which all of these topics can be served.
func (c *Core) oldest(topics []*Topic) string {
	p := Position(0)
	for _, t := range topics {
		p = max(p, t.expired)
	}
	return string(AppendID(nil, c.Epoch(), p))
}
