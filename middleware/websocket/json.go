package websocket

import (
	"context"
	"fmt"

	"github.com/goccy/go-json"
)

// WriteJSON sends v as JSON in a text message. See [Conn.WriteMessage].
func (c *Conn) WriteJSON(ctx context.Context, v any) error {
	b, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("websocket: encode: %w", err)
	}
	return c.WriteMessage(ctx, TextMessage, b)
}

// ReadJSON waits for the next message, text or binary, and decodes it into v. An error of decoding leaves the connection
// as it is. See [Conn.ReadMessage] for others.
func (c *Conn) ReadJSON(ctx context.Context, v any) error {
	_, b, err := c.ReadMessage(ctx)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(b, v); err != nil {
		return fmt.Errorf("websocket: decode: %w", err)
	}
	return nil
}
