package native

import (
	"bufio"
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"io"
	"net"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/goceleris/celeris/engine"
	"github.com/goceleris/celeris/internal/tlsgate"
)

var networks = []string{"tcp", "unix", "tls"}

var certificate = sync.OnceValues(func() (tls.Certificate, *x509.CertPool) {
	ts := httptest.NewTLSServer(nil)
	defer ts.Close()
	pool := x509.NewCertPool()
	pool.AddCert(ts.Certificate())
	return ts.TLS.Certificates[0], pool
})

// secured puts TLS over a connection, behind a gate on this side. theirs configures the other; nil is fine.
func secured(t testing.TB, here, there net.Conn, theirs *tls.Config) (_, _ *tls.Conn) {
	t.Helper()
	cert, pool := certificate()
	server := tls.Server(&tlsgate.Gate{Conn: here}, &tls.Config{Certificates: []tls.Certificate{cert}, SessionTicketsDisabled: true})
	if theirs == nil {
		theirs = &tls.Config{}
	}
	theirs.RootCAs, theirs.ServerName = pool, "example.com"
	client := tls.Client(there, theirs)
	shaken := make(chan error, 1)
	go func() { shaken <- client.Handshake() }()
	if err := errors.Join(server.Handshake(), <-shaken); err != nil {
		t.Fatal(err)
	}
	return server, client
}

func TestParks_TLSBehindAGateOnly(t *testing.T) {
	here, _ := connected(t, "tls")
	defer here.Close()
	bare, _ := connected(t, "tcp")
	defer bare.Close()
	before := tls.Server(&tlsgate.Gate{Conn: bare}, &tls.Config{}) // its handshake is yet to come
	if !parks(here) || parks(tls.Server(bare, &tls.Config{})) || parks(before) {
		t.Error("TLS is parked behind a gate, when the handshake is complete, and only then")
	}
}

func TestSecure_ServesWhatDoesNotFit(t *testing.T) {
	r := newRig(t)
	here, there := connected(t, "tls")
	s := r.park(t, here)
	reader := bufio.NewReaderSize(there, 16)
	big := strings.Repeat("x", 4<<20) // many records, many refusals, many short sends
	for _, text := range []string{"first", big, "behind it"} {
		r.publish(t, text)
	}
	for _, want := range []string{"first", big, "behind it"} {
		if got := line(t, reader); got != want {
			t.Errorf("got %d bytes, %.20q, want %d", len(got), got, len(want))
		}
	}
	for i := range 300 { // of which one send takes many
		r.publish(t, strings.Repeat("y", i))
	}
	for i := range 300 {
		if got := line(t, reader); len(got) != i {
			t.Fatalf("event %d has %d bytes", i, len(got))
		}
	}
	if n := r.Stats(); n.Refusals == 0 {
		t.Errorf("nothing was refused: %+v", n)
	}
	s.Member.Finish(errDone, []byte("bye\n"), true)
	if got := line(t, reader); got != "bye" {
		t.Errorf("the farewell is %q", got)
	}
	if _, err := reader.ReadByte(); !errors.Is(err, io.EOF) {
		t.Errorf("behind it: %v, want the end", err)
	}
	there.Close()
	r.end(t, errDone)
}

// RFC 8446, 6.1: who closes its side says so, or the peer can't tell the end from a cut.
func TestSecure_SaysThatItCloses(t *testing.T) {
	r := newRig(t)
	here, raw := connected(t, "tcp")
	server, _ := secured(t, here, raw, nil)
	r.park(t, server).Member.Finish(errDone, nil, true)
	const alert = 5 + 2 + 1 + 16 // a record of TLS 1.3 with an alert
	if got, err := io.ReadAll(raw); err != nil || len(got) != alert || got[4] != alert-5 {
		t.Errorf("the last bytes are % x, %v, want a close_notify", got, err)
	}
	raw.Close()
	r.end(t, errDone)
}

func TestSecure_CloseNotifyIsADeparture(t *testing.T) {
	r := newRig(t)
	here, there := connected(t, "tls")
	r.park(t, here)
	if err := there.(*tls.Conn).CloseWrite(); err != nil { // the socket stays open
		t.Fatal(err)
	}
	r.end(t, engine.ErrPeerGone)
}

func TestSecure_ForgedRecordEndsTheStream(t *testing.T) {
	r := newRig(t)
	here, there := connected(t, "tls")
	r.park(t, here)
	if _, err := there.(*tls.Conn).NetConn().Write([]byte("\x17\x03\x03\x00\x20" + strings.Repeat("z", 32))); err != nil {
		t.Fatal(err)
	}
	r.end(t, engine.ErrPeerGone)
}

// What the peer sent right behind its request may be in TLS's own buffers, where no event of the socket tells of it.
func TestSecure_HandsOnWhatTLSHasRead(t *testing.T) {
	r := newRig(t)
	here, there := connected(t, "tls")
	for _, text := range []string{"request;", "early ", "too "} {
		if _, err := there.Write([]byte(text)); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := io.ReadFull(here, make([]byte, 9)); err != nil { // one byte of the second record
		t.Fatal(err)
	}
	e := newEar(3)
	r.listen(t, here, e, "e")
	e.await(len("early too "))
	if got := string(e.heard); got != "early too " {
		t.Errorf("heard %q", got)
	}
	there.Close()
	r.end(t, engine.ErrPeerGone)
}

// tap tells when something has come.
type tap struct {
	net.Conn
	came chan struct{}
}

func (t tap) Read(p []byte) (int, error) {
	n, err := t.Conn.Read(p)
	if n > 0 {
		select {
		case t.came <- struct{}{}:
		default:
		}
	}
	return n, err
}

// RFC 8446, 4.6.3: who is asked to changes its keys, and says so, before it sends more.
func TestSecure_ChangesItsKeys(t *testing.T) {
	r := newRig(t)
	here, raw := connected(t, "tcp")
	there := tap{raw, make(chan struct{}, 1)}
	var secrets bytes.Buffer
	server, client := secured(t, here, there, &tls.Config{KeyLogWriter: &secrets})
	f := newForger(t, client, secrets.String())
	r.park(t, server)
	lines := make(chan string)
	go func() {
		defer close(lines)
		for reader := bufio.NewReader(client); ; {
			s, err := reader.ReadString('\n')
			if err != nil {
				return
			}
			lines <- s
		}
	}()
	r.publish(t, "before")
	if got := <-lines; got != "before\n" {
		t.Errorf("got %q", got)
	}
	<-there.came
	if _, err := raw.Write(f.keyUpdate()); err != nil {
		t.Fatal(err)
	}
	<-there.came // it is no event
	r.publish(t, "behind")
	if got := <-lines; got != "behind\n" {
		t.Errorf("got %q", got)
	}
	raw.Close()
	r.end(t, engine.ErrPeerGone)
	<-lines
}

// forger makes records of a client out of its secret.
type forger struct {
	t      testing.TB
	secret []byte
	next   uint64 // record with this secret
}

// newForger takes the first secret of a client's traffic out of its log.
func newForger(t testing.TB, client *tls.Conn, secrets string) *forger {
	t.Helper()
	if state := client.ConnectionState(); state.CipherSuite != tls.TLS_AES_128_GCM_SHA256 {
		t.Skipf("SKIPPED: this machine prefers %s, and the test can only forge AES-128-GCM", tls.CipherSuiteName(state.CipherSuite))
	}
	_, rest, ok := strings.Cut(secrets, "CLIENT_TRAFFIC_SECRET_0 ")
	fields := strings.Fields(rest)
	if !ok || len(fields) < 2 {
		t.Fatal("no secret was logged")
	}
	secret, err := hex.DecodeString(fields[1])
	if err != nil {
		t.Fatal(err)
	}
	return &forger{t: t, secret: secret}
}

// expand is HKDF-Expand-Label of RFC 8446, 7.1.
func (f *forger) expand(label string, n int) []byte {
	label = "tls13 " + label
	info := binary.BigEndian.AppendUint16(nil, uint16(n))
	info = append(append(append(info, byte(len(label))), label...), 0)
	key, err := hkdf.Expand(sha256.New, f.secret, string(info), n)
	if err != nil {
		f.t.Fatal(err)
	}
	return key
}

// record encrypts a record of a type.
func (f *forger) record(typ byte, content ...byte) []byte {
	block, err := aes.NewCipher(f.expand("key", 16))
	if err != nil {
		f.t.Fatal(err)
	}
	aead, err := cipher.NewGCM(block)
	if err != nil {
		f.t.Fatal(err)
	}
	nonce := f.expand("iv", 12)
	binary.BigEndian.PutUint64(nonce[4:], binary.BigEndian.Uint64(nonce[4:])^f.next)
	f.next++
	inner := append(content, typ)
	head := []byte{23, 3, 3, 0, byte(len(inner) + aead.Overhead())}
	return append(head, aead.Seal(nil, nonce, inner, head)...)
}

const handshake, traffic = 22, 23 // types of records

// keyUpdate asks for other keys, and changes those of the client.
func (f *forger) keyUpdate() []byte {
	b := f.record(handshake, 24, 0, 0, 1, 1)
	f.secret, f.next = f.expand("traffic upd", 32), 0
	return b
}

// A peer that asks for other keys again and again, and reads no answer, must not fill the memory with them.
func TestSecure_BoundsAnswersThatNobodyReads(t *testing.T) {
	r := newRig(t)
	here, raw := connected(t, "tcp")
	if err := raw.(*net.TCPConn).SetReadBuffer(4 << 10); err != nil {
		t.Fatal(err)
	}
	var secrets bytes.Buffer
	server, client := secured(t, here, raw, &tls.Config{KeyLogWriter: &secrets})
	f := newForger(t, client, secrets.String())
	r.listen(t, server, newEar(1), "")
	sent := 0
	for ; sent < 30_000; sent += 100 {
		var b []byte
		for range 100 {
			b = append(append(b, f.keyUpdate()...), f.record(traffic, 'x')...) // alone, TLS would refuse them
		}
		if _, err := raw.Write(b); err != nil {
			break
		}
	}
	if sent == 30_000 {
		t.Error("all of them were answered")
	}
	r.end(t, engine.ErrPeerGone)
}

// RFC 8446, 4.1.2: there is no second handshake.
func TestSecure_RefusesAnotherHandshake(t *testing.T) {
	r := newRig(t)
	here, raw := connected(t, "tcp")
	var secrets bytes.Buffer
	server, client := secured(t, here, raw, &tls.Config{KeyLogWriter: &secrets})
	f := newForger(t, client, secrets.String())
	r.listen(t, server, newEar(1), "")
	if _, err := raw.Write(f.record(handshake, 1, 0, 0, 0)); err != nil {
		t.Fatal(err)
	}
	r.end(t, engine.ErrPeerGone)
	if alert, err := io.ReadAll(raw); len(alert) != 5+2+1+16 {
		t.Errorf("got % x, %v, want an alert", alert, err)
	}
}

// What TLS had read before the connection was taken over may have asked for an answer.
func TestSecure_AnswersWhatCameEarly(t *testing.T) {
	r := newRig(t)
	here, raw := connected(t, "tcp")
	var secrets bytes.Buffer
	server, client := secured(t, here, raw, &tls.Config{KeyLogWriter: &secrets})
	f := newForger(t, client, secrets.String())
	if _, err := raw.Write(append(append(f.record(traffic, 'r'), f.keyUpdate()...), f.record(traffic, 'e')...)); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(server, make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
	e := newEar(2)
	r.listen(t, server, e, "")
	e.await(1)
	r.publish(t, "behind")
	if got := line(t, bufio.NewReader(client)); got != "behind" {
		t.Errorf("got %q", got)
	}
	raw.Close()
	r.end(t, engine.ErrPeerGone)
}

// holding is a connection whose writes can be held back.
type holding struct {
	net.Conn
	holds bool
	held  []byte
}

func (h *holding) Write(p []byte) (int, error) {
	if !h.holds {
		return h.Conn.Write(p)
	}
	h.held = append(h.held, p...)
	return len(p), nil
}

// Records may be cut anywhere.
func TestSecure_OpensRecordsByteByByte(t *testing.T) {
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		here, raw := connected(t, "tcp")
		there := &holding{Conn: raw}
		server, client := secured(t, here, there, &tls.Config{MaxVersion: version})
		there.holds = true
		var want []byte
		for i := range 40 {
			p := bytes.Repeat([]byte{byte(i)}, i*i)
			want = append(want, p...)
			if _, err := client.Write(p); err != nil {
				t.Fatal(err)
			}
		}
		if err := client.CloseWrite(); err != nil {
			t.Fatal(err)
		}
		c, _, err := take(server, 0, 8<<10, true)
		if err != nil {
			t.Fatal(err)
		}
		c.poller = &Poller{}
		var got []byte
		for i := range there.held {
			p, over := c.open(there.held[i : i+1])
			if got = append(got, p...); over != (i == len(there.held)-1) {
				t.Fatalf("%s: over after %d bytes of %d: %v", tls.VersionName(version), i+1, len(there.held), over)
			}
		}
		if !bytes.Equal(got, want) {
			t.Errorf("%s: got %d bytes, want %d", tls.VersionName(version), len(got), len(want))
		}
		c.Close()
	}
}
