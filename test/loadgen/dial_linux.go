package loadgen

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"syscall"
)

// connect opens n streams as a new group. "{topic}" in the path stands for 0, 1, … topics-1, in turn.
func (c *client) connect(addr, path string, n, topics int, kind group) error {
	to, err := netip.ParseAddrPort(addr)
	if err != nil || !to.Addr().Is4() {
		return fmt.Errorf("%q is no IPv4 address with a port: %w", addr, err)
	}
	sockaddr := &syscall.SockaddrInet4{Port: int(to.Port()), Addr: to.Addr().As4()}
	c.groups = append(c.groups, kind)
	g := &c.groups[len(c.groups)-1]
	for g.size < n {
		path := strings.ReplaceAll(path, "{topic}", strconv.Itoa(g.size%topics))
		request := []byte("GET " + path + " HTTP/1.1\r\nHost: " + addr + "\r\n" + kind.header() + "\r\n")
		if err := c.dial(sockaddr, request, int32(len(c.groups)-1)); err != nil {
			return fmt.Errorf("stream %d of %d: %w", g.size, n, err)
		}
		g.size++
		if g.size%burst == 0 || g.size == n {
			if err := c.poll(patience, func() bool { return g.begun == g.size }); err != nil {
				return fmt.Errorf("%d of %d streams have begun: %w", g.begun, g.size, err)
			}
		}
	}
	return nil
}

// header is what a request has beside its host.
func (g *group) header() string {
	switch {
	case g.socket && g.deflate:
		return socketHeader + "Sec-WebSocket-Extensions: permessage-deflate; server_no_context_takeover; client_no_context_takeover\r\n"
	case g.socket:
		return socketHeader
	}
	return "Accept: text/event-stream\r\n"
}

// socketHeader has the key of RFC 6455 1.3, so that a server need not compute the answer.
const socketHeader = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n" +
	"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"

// sendBuffer is that of a WebSocket.
const sendBuffer = 256 << 10

func (c *client) dial(to syscall.Sockaddr, request []byte, group int32) error {
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("socket: %w", err)
	}
	if c.groups[group].stalled {
		if err := syscall.SetsockoptInt(fd, syscall.SOL_SOCKET, syscall.SO_RCVBUF, window); err != nil {
			return fmt.Errorf("setsockopt: %w", err)
		}
	}
	if c.groups[group].socket { // a message of an echo fits in
		if err := syscall.SetsockoptInt(fd, syscall.SOL_SOCKET, syscall.SO_SNDBUF, sendBuffer); err != nil {
			return fmt.Errorf("setsockopt: %w", err)
		}
	}
	if err := syscall.Connect(fd, to); err != nil {
		return fmt.Errorf("connect: %w", err)
	}
	if err := syscall.SetNonblock(fd, true); err != nil {
		return fmt.Errorf("fcntl: %w", err)
	}
	if n, err := syscall.Write(fd, request); err != nil || n < len(request) {
		return fmt.Errorf("send request: wrote %d bytes: %w", n, err)
	}
	for len(c.byFD) <= fd {
		c.byFD = append(c.byFD, -1)
	}
	c.byFD[fd] = int32(len(c.conns))
	c.conns = append(c.conns, conn{fd: int32(fd), group: group, parser: parser{numbered: c.groups[group].numbered, socket: c.groups[group].socket}})
	event := syscall.EpollEvent{Events: syscall.EPOLLIN, Fd: int32(fd)}
	if err := syscall.EpollCtl(c.epoll, syscall.EPOLL_CTL_ADD, fd, &event); err != nil {
		return fmt.Errorf("epoll_ctl: %w", err)
	}
	return nil
}

// forget leaves a connection open and reads nothing more from it.
func (c *client) forget(k *conn) error {
	if err := syscall.EpollCtl(c.epoll, syscall.EPOLL_CTL_DEL, int(k.fd), nil); err != nil {
		return fmt.Errorf("epoll_ctl: %w", err)
	}
	return nil
}
