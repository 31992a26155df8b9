package rawio_test

import (
	"bytes"
	"errors"
	"io"
	"net"
	"os"
	"testing"
	"time"

	"github.com/ringfleet/ringfleet/internal/rawio"
)

// pair returns the two ends of a TCP connection.
func pair(t *testing.T) (a, b net.Conn) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	a, err = net.Dial("tcp", listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	if b, err = listener.Accept(); err != nil {
		t.Fatal(err)
	}
	a, b = rawio.Conn(a), rawio.Conn(b)
	t.Cleanup(func() { _, _ = a.Close(), b.Close() })
	return a, b
}

// TestConn: a connection carries more than the socket takes at once, and ends as one of package net does.
func TestConn(t *testing.T) {
	a, b := pair(t)
	sent := bytes.Repeat([]byte("0123456789"), 1<<20)
	wrote := make(chan error, 1)
	go func() {
		_, err := a.Write(sent)
		wrote <- errors.Join(err, a.Close())
	}()
	got, err := io.ReadAll(b)
	if err := errors.Join(err, <-wrote); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, sent) {
		t.Errorf("%d bytes have come of %d", len(got), len(sent))
	}
	if _, err := a.Write(sent); !errors.Is(err, net.ErrClosed) {
		t.Errorf("write to a closed connection: %v", err)
	}
	if n, err := b.Read(nil); n != 0 || err != nil {
		t.Errorf("read nothing: %d, %v", n, err)
	}
	for err = nil; err == nil; {
		_, err = b.Write(sent)
	}
	var op *net.OpError
	if !errors.As(err, &op) || op.Op != "write" {
		t.Errorf("write to a connection that the other side has closed: %v", err)
	}
}

// TestConnDeadline: deadlines end what waits.
func TestConnDeadline(t *testing.T) {
	a, b := pair(t)
	if err := a.SetDeadline(time.Now().Add(10 * time.Millisecond)); err != nil {
		t.Fatal(err)
	}
	if _, err := a.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("read: %v", err)
	}
	if _, err := a.Write(make([]byte, 64<<20)); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("write: %v", err)
	}
	_ = b.Close()
}

// TestTryWrite: a socket that takes no more is no error, and nothing waits for it.
func TestTryWrite(t *testing.T) {
	a, b := pair(t)
	w, ok := a.(rawio.Writer)
	if !ok {
		t.Skip("not on this system")
	}
	all := make([]byte, 64<<20)
	n, err := w.TryWrite(all)
	if err != nil || n == 0 || n == len(all) {
		t.Fatalf("wrote %d bytes, %v", n, err)
	}
	if m, err := w.TryWrite(all[n:]); err != nil || m == len(all)-n {
		t.Errorf("wrote %d bytes more, %v", m, err)
	}
	if _, err := io.ReadFull(b, make([]byte, n)); err != nil {
		t.Error(err)
	}
}
