package deploy

import (
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// service is what the services of the overlay are to clients and pods: one address that leads to any ready pod, and a
// name that is that of all pods.
type service struct {
	t        *testing.T
	number   int
	listener net.Listener
	names    string // a file with the pods' gossip addresses, as DNS would have
	where    func(*running) string

	mu    sync.Mutex
	ready []*running
}

var services atomic.Int32

func newService(t *testing.T, where func(*running) string) *service {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &service{t: t, number: int(services.Add(1)), listener: listener, names: filepath.Join(t.TempDir(), "names"), where: where}
	s.resolve(nil)
	go s.serve()
	t.Cleanup(func() { _ = listener.Close() }) // nobody needs it any more
	return s
}

func (s *service) address() string { return s.listener.Addr().String() }

// resolve has the name lead to pods, ready or not.
func (s *service) resolve(pods map[string]*running) {
	s.t.Helper()
	var text strings.Builder
	for _, p := range pods {
		text.WriteString(p.ip + ":7946\n")
	}
	if err := errors.Join(os.WriteFile(s.names+".next", []byte(text.String()), 0o600), os.Rename(s.names+".next", s.names)); err != nil {
		s.t.Fatal(err)
	}
}

func (s *service) include(p *running) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ready = append(s.ready, p)
}

func (s *service) exclude(p *running) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ready = slices.DeleteFunc(s.ready, func(other *running) bool { return other == p })
}

// serve leads each connection to a pod, as long as that lives.
func (s *service) serve() {
	for {
		conn, err := s.listener.Accept()
		if err != nil {
			return // closed
		}
		go s.lead(conn)
	}
}

func (s *service) lead(conn net.Conn) {
	defer conn.Close()
	s.mu.Lock()
	var to *running
	if len(s.ready) > 0 {
		to = s.ready[rand.IntN(len(s.ready))]
	}
	s.mu.Unlock()
	if to == nil {
		return
	}
	pod, err := net.DialTimeout("tcp", s.where(to), 5*time.Second)
	if err != nil {
		return
	}
	go func() {
		_, _ = io.Copy(pod, conn) // ends with either
		_ = pod.(*net.TCPConn).CloseWrite()
	}()
	_, _ = io.Copy(conn, pod) // likewise
	_ = pod.Close()
}
