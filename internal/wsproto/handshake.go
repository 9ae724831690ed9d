package wsproto

import (
	"crypto/sha1" //nolint:gosec // RFC 6455 4.2.2 prescribes it
	"encoding/base64"
	"net/http"
	"strings"
)

// Version is the version of the protocol.
const Version = "13"

// Refusal is why a request can't become a WebSocket, and how it is answered.
type Refusal struct {
	Status  int
	Message string
	Header  http.Header // nil for none
}

// Error implements error.
func (r *Refusal) Error() string { return "websocket: " + r.Message }

func refuse(status int, message string, header ...string) *Refusal {
	r := &Refusal{Status: status, Message: message}
	for i := 0; i < len(header); i += 2 {
		if r.Header == nil {
			r.Header = make(http.Header)
		}
		r.Header.Set(header[i], header[i+1])
	}
	return r
}

// Request is what an opening handshake says.
type Request struct {
	// Accept is the value of Sec-WebSocket-Accept; "" over HTTP/2, which has none.
	Accept string
	// Protocols are those that the client offers, in its order.
	Protocols []string
}

// Check applies RFC 6455 4.2.1, or RFC 8441 4 and 5 over HTTP/2, to a request. It does not look at the origin.
func Check(r *http.Request) (*Request, *Refusal) {
	if r.ProtoMajor >= 2 {
		return checkConnect(r)
	}
	if r.Method != http.MethodGet {
		return nil, refuse(http.StatusMethodNotAllowed, "the opening handshake is a GET", "Allow", http.MethodGet)
	}
	upgrade := []string{"Connection", "Upgrade", "Upgrade", "websocket"}
	switch h := r.Header; {
	case !HasToken(h["Upgrade"], "websocket"):
		return nil, refuse(http.StatusUpgradeRequired, "this resource is a WebSocket: Upgrade lacks the token websocket", upgrade...)
	case !r.ProtoAtLeast(1, 1):
		return nil, refuse(http.StatusBadRequest, "the opening handshake needs HTTP/1.1")
	case !HasToken(h["Connection"], "Upgrade"):
		return nil, refuse(http.StatusBadRequest, "Connection lacks the token Upgrade")
	case r.Host == "":
		return nil, refuse(http.StatusBadRequest, "Host is missing")
	case r.ContentLength != 0 || len(r.TransferEncoding) > 0:
		return nil, refuse(http.StatusBadRequest, "the opening handshake has no body")
	}
	if ref := checkVersion(r); ref != nil {
		return nil, ref
	}
	keys := r.Header["Sec-Websocket-Key"]
	if len(keys) != 1 || !ValidKey(trim(keys[0])) {
		return nil, refuse(http.StatusBadRequest, "Sec-WebSocket-Key must be 16 bytes in base64, once")
	}
	protocols, ref := offered(r)
	if ref != nil {
		return nil, ref
	}
	return &Request{Accept: AcceptKey(trim(keys[0])), Protocols: protocols}, nil
}

// checkConnect is Check for HTTP/2. Go's net/http keeps the pseudo-header among the others.
func checkConnect(r *http.Request) (*Request, *Refusal) {
	if r.Method != http.MethodConnect {
		return nil, refuse(http.StatusMethodNotAllowed, "over HTTP/2 the opening handshake is an extended CONNECT", "Allow", http.MethodConnect)
	}
	if p := r.Header[":protocol"]; len(p) != 1 || p[0] != "websocket" {
		return nil, refuse(http.StatusBadRequest, ":protocol is not websocket")
	}
	if ref := checkVersion(r); ref != nil {
		return nil, ref
	}
	protocols, ref := offered(r)
	if ref != nil {
		return nil, ref
	}
	return &Request{Protocols: protocols}, nil
}

func checkVersion(r *http.Request) *Refusal {
	if v := r.Header["Sec-Websocket-Version"]; len(v) != 1 || trim(v[0]) != Version {
		return refuse(http.StatusUpgradeRequired, "Sec-WebSocket-Version must be "+Version, "Sec-WebSocket-Version", Version,
			"Connection", "Upgrade", "Upgrade", "websocket")
	}
	return nil
}

// offered returns the subprotocols of a request, of which RFC 6455 4.1 says that they are unique tokens.
func offered(r *http.Request) ([]string, *Refusal) {
	list, ok := Tokens(r.Header["Sec-Websocket-Protocol"])
	if !ok {
		return nil, refuse(http.StatusBadRequest, "Sec-WebSocket-Protocol is no list of tokens")
	}
	seen := make(map[string]bool, len(list))
	for _, p := range list {
		if seen[p] {
			return nil, refuse(http.StatusBadRequest, "Sec-WebSocket-Protocol names a protocol twice")
		}
		seen[p] = true
	}
	return list, nil
}

// ValidKey reports whether key is 16 bytes in base64.
func ValidKey(key string) bool {
	if len(key) != 24 {
		return false
	}
	b, err := base64.StdEncoding.DecodeString(key)
	return err == nil && len(b) == 16
}

// AcceptKey answers a key, RFC 6455 4.2.2.
func AcceptKey(key string) string {
	sum := sha1.Sum([]byte(key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11")) //nolint:gosec // see above
	return base64.StdEncoding.EncodeToString(sum[:])
}

// CheckResponse applies RFC 6455 4.1 to the response that a client got for key. It returns the subprotocol that was
// chosen, or "". Extensions are for [ParseAnswer].
func CheckResponse(resp *http.Response, key string, protocols []string) (protocol string, err error) {
	h := resp.Header
	switch accept := h["Sec-Websocket-Accept"]; {
	case resp.StatusCode != http.StatusSwitchingProtocols:
		return "", refuse(resp.StatusCode, "the server answered "+resp.Status)
	case len(h["Upgrade"]) != 1 || !strings.EqualFold(trim(h.Get("Upgrade")), "websocket"):
		return "", refuse(resp.StatusCode, "the answer's Upgrade is not websocket")
	case !HasToken(h["Connection"], "Upgrade"):
		return "", refuse(resp.StatusCode, "the answer's Connection lacks the token Upgrade")
	case len(accept) != 1 || trim(accept[0]) != AcceptKey(key):
		return "", refuse(resp.StatusCode, "the answer's Sec-WebSocket-Accept is wrong")
	}
	chosen := h["Sec-Websocket-Protocol"]
	if len(chosen) == 0 {
		return "", nil
	}
	if len(chosen) == 1 {
		for _, p := range protocols {
			if p == trim(chosen[0]) {
				return p, nil
			}
		}
	}
	return "", refuse(resp.StatusCode, "the server chose a subprotocol that was not offered")
}
