package websocket

import (
	"errors"
	"fmt"

	"github.com/goceleris/celeris/engine"
	"github.com/goceleris/celeris/internal/wsproto"
)

// Status codes of close frames, RFC 6455 7.4.1 and the registry of IANA. Applications have 3000 to 4999.
const (
	StatusNormalClosure      = wsproto.NormalClosure
	StatusGoingAway          = wsproto.GoingAway
	StatusProtocolError      = wsproto.ProtocolError
	StatusUnsupportedData    = wsproto.UnsupportedData
	StatusNoStatusReceived   = wsproto.NoStatus // the close frame had none; it is never sent
	StatusAbnormalClosure    = wsproto.Abnormal // there was no close frame; it is never sent
	StatusInvalidPayloadData = wsproto.InvalidPayload
	StatusPolicyViolation    = wsproto.PolicyViolation
	StatusMessageTooBig      = wsproto.MessageTooBig
	StatusMandatoryExtension = wsproto.MandatoryExtension
	StatusInternalError      = wsproto.InternalError
	StatusServiceRestart     = wsproto.ServiceRestart
	StatusTryAgainLater      = wsproto.TryAgainLater
	StatusBadGateway         = wsproto.BadGateway
)

// CloseError is how a connection was closed: by the peer's close frame, or by ours. Reads return it, and
// [context.Cause] of the connection's context.
type CloseError struct {
	// Code is the status code; [StatusNoStatusReceived] if the close frame had none.
	Code int
	// Reason is what the close frame said beside it, of 123 bytes at most.
	Reason string
	// Local is true if this side began to close.
	Local bool
}

// Error implements error.
func (e *CloseError) Error() string {
	by := "the peer"
	if e.Local {
		by = "this side"
	}
	if e.Reason == "" {
		return fmt.Sprintf("websocket: closed by %s with %d", by, e.Code)
	}
	return fmt.Sprintf("websocket: closed by %s with %d: %s", by, e.Code, e.Reason)
}

// Unwrap returns [engine.ErrPeerGone] if it was the peer that closed.
func (e *CloseError) Unwrap() error {
	if e.Local {
		return nil
	}
	return engine.ErrPeerGone
}

// CloseCode returns the code of the [CloseError] in the chain of err, or 1006 if there is none.
func CloseCode(err error) int {
	if e, ok := errors.AsType[*CloseError](err); ok {
		return e.Code
	}
	return StatusAbnormalClosure
}

// ProtocolError is a violation of the protocol by the peer. The connection was closed with its Code.
type ProtocolError = wsproto.Error

// Errors of connections, matched with [errors.Is].
var (
	// ErrClosed means that the connection is closed, or that a close frame has been sent or is about to be.
	ErrClosed = errors.New("websocket: connection is closed")
	// ErrBacklog means that a message was dropped: more of them wait for the connection than may.
	ErrBacklog = errors.New("websocket: too much waits for the connection")
	// ErrMessageTooBig means that the peer sent a message above the ReadLimit. The connection was closed with 1009.
	ErrMessageTooBig error = wsproto.ErrTooBig
	// ErrInvalidUTF8 means that a text message to be sent is not UTF-8.
	ErrInvalidUTF8 = errors.New("websocket: text is not UTF-8")
	// ErrMessageType means that a message to be sent is neither text nor binary.
	ErrMessageType = errors.New("websocket: a message is text or binary")
	// ErrCloseCode means that a code may not be in a close frame.
	ErrCloseCode = errors.New("websocket: close code is not valid")
	// ErrWriterClosed means that a message writer was used after Close.
	ErrWriterClosed = errors.New("websocket: message writer is closed")
	// ErrCallbacks means that the messages of a connection go to callbacks and can't be read.
	ErrCallbacks = errors.New("websocket: messages go to OnMessage")
	// ErrReaderStale means that a message reader was used after the next read began.
	ErrReaderStale = errors.New("websocket: message reader is stale")
)

// Reasons for which a connection ends, beside those of package engine.
var (
	// ErrPongTimeout means that the peer was silent though it was pinged.
	ErrPongTimeout = fmt.Errorf("websocket: peer did not answer a ping: %w", engine.ErrPeerGone)
	// ErrCloseTimeout means that the peer did not complete the closing handshake.
	ErrCloseTimeout = fmt.Errorf("websocket: peer did not close: %w", engine.ErrCut)
	// ErrPanicked means that user code of this connection panicked.
	ErrPanicked error = panicked{}
)

// panicked is an error that says what kind of end it is.
type panicked struct{}

func (panicked) Error() string { return "websocket: handler panicked" }

// EndKind is for [engine.End.Kind].
func (panicked) EndKind() engine.EndKind { return engine.EndPanicked }
