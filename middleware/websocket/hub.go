package websocket

type Hub struct{}

func (c *Conn) left() {}
