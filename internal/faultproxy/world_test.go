package faultproxy_test

import (
	"encoding/binary"
	"io"
	"net"
	"net/netip"
	"sync"
	"testing"
	"time"

	"github.com/ringfleet/ringfleet/internal/faultproxy"
)

// limit is how long anything may take in these tests; quiet is for how long nothing must come.
const (
	limit = 20 * time.Second
	quiet = 150 * time.Millisecond
)

// makers are the nodes that have made connections, by the address they made them from.
type makers struct {
	mu    sync.Mutex
	names map[netip.AddrPort]string
}

func (m *makers) who(maker, _ netip.AddrPort) string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.names[maker]
}

// world is a proxy and what listens behind it.
type world struct {
	*testing.T
	proxy  *faultproxy.Proxy
	makers makers
}

func newWorld(t *testing.T) *world {
	w := &world{T: t, makers: makers{names: map[netip.AddrPort]string{}}}
	w.proxy = faultproxy.New(faultproxy.Config{Seed: 1, Who: w.makers.who})
	t.Cleanup(w.proxy.Close)
	return w
}

// port is a node's UDP socket and its door.
type port struct {
	*world
	conn *net.UDPConn
	door string
}

func (w *world) port(node string) *port {
	w.Helper()
	conn, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		w.Fatal(err)
	}
	w.Cleanup(func() { _ = conn.Close() })
	door, err := w.proxy.Open(faultproxy.Door{
		Node: node, Kind: "datagrams", Listen: "127.0.0.1:0", Target: conn.LocalAddr().String(), Datagrams: true,
	})
	if err != nil {
		w.Fatal(err)
	}
	return &port{w, conn, door}
}

// say sends datagrams to another node, each of one number.
func (p *port) say(to *port, numbers ...uint32) {
	p.Helper()
	address := net.UDPAddrFromAddrPort(netip.MustParseAddrPort(to.door))
	for _, n := range numbers {
		if _, err := p.conn.WriteTo(binary.BigEndian.AppendUint32(nil, n), address); err != nil {
			p.Fatal(err)
		}
	}
}

// hear returns the next number, and the address that it came from; false: nothing comes within a time.
func (p *port) hear(within time.Duration) (uint32, string, bool) {
	p.Helper()
	if err := p.conn.SetReadDeadline(time.Now().Add(within)); err != nil {
		p.Fatal(err)
	}
	b := make([]byte, 8)
	n, from, err := p.conn.ReadFromUDPAddrPort(b)
	if err != nil || n != 4 {
		return 0, "", false
	}
	return binary.BigEndian.Uint32(b), from.String(), true
}

// server is a node's TCP listener and its door.
type server struct {
	*world
	listener net.Listener
	door     string
}

func (w *world) server(node string, framing *faultproxy.Framing) *server {
	w.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		w.Fatal(err)
	}
	w.Cleanup(func() { _ = listener.Close() })
	door, err := w.proxy.Open(faultproxy.Door{
		Node: node, Listen: "127.0.0.1:0", Target: listener.Addr().String(), Framing: framing,
	})
	if err != nil {
		w.Fatal(err)
	}
	return &server{w, listener, door}
}

// dial makes a connection as a node.
func (s *server) dial(as string) *net.TCPConn {
	s.Helper()
	s.makers.mu.Lock() // until the name is known
	conn, err := net.Dial("tcp", s.door)
	if err == nil {
		s.makers.names[netip.MustParseAddrPort(conn.LocalAddr().String())] = as
	}
	s.makers.mu.Unlock()
	if err != nil {
		s.Fatal(err)
	}
	s.Cleanup(func() { _ = conn.Close() })
	return conn.(*net.TCPConn)
}

// taken returns the next connection that has reached the node; nil: none comes within a time.
func (s *server) taken(within time.Duration) *net.TCPConn {
	s.Helper()
	if err := s.listener.(*net.TCPListener).SetDeadline(time.Now().Add(within)); err != nil {
		s.Fatal(err)
	}
	conn, err := s.listener.Accept()
	if err != nil {
		return nil
	}
	s.Cleanup(func() { _ = conn.Close() })
	return conn.(*net.TCPConn)
}

// pair makes a connection and takes it.
func (s *server) pair(as string) (maker, node *net.TCPConn) {
	s.Helper()
	maker, node = s.dial(as), s.taken(limit)
	if node == nil {
		s.Fatal("the connection did not come through")
	}
	return maker, node
}

func (w *world) write(conn *net.TCPConn, text string) {
	w.Helper()
	if _, err := conn.Write([]byte(text)); err != nil {
		w.Fatal(err)
	}
}

// read wants a text next.
func (w *world) read(conn *net.TCPConn, want string) {
	w.Helper()
	if err := conn.SetReadDeadline(time.Now().Add(limit)); err != nil {
		w.Fatal(err)
	}
	b := make([]byte, len(want))
	if n, err := io.ReadFull(conn, b); err != nil || string(b) != want {
		w.Fatalf("read %q, %v; want %q", b[:n], err, want)
	}
}

// silent wants nothing to come for a while, no end either.
func (w *world) silent(conn *net.TCPConn) {
	w.Helper()
	if err := conn.SetReadDeadline(time.Now().Add(quiet)); err != nil {
		w.Fatal(err)
	}
	var timeout net.Error
	n, err := conn.Read(make([]byte, 1))
	if n > 0 || !asTimeout(err, &timeout) {
		w.Fatalf("read %d bytes, %v; want nothing", n, err)
	}
}

// ended wants the end of a connection, and returns it.
func (w *world) ended(conn *net.TCPConn) error {
	w.Helper()
	if err := conn.SetReadDeadline(time.Now().Add(limit)); err != nil {
		w.Fatal(err)
	}
	n, err := conn.Read(make([]byte, 1))
	var timeout net.Error
	if n > 0 || asTimeout(err, &timeout) {
		w.Fatalf("read %d bytes, %v; want the end", n, err)
	}
	return err
}
