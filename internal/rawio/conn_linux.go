package rawio

import (
	"io"
	"net"
	"os"
	"sync"
	"syscall"
)

// conn is a TCP connection that is read and written by this package's system calls. The functions are made once,
// as a closure for each call would be an allocation.
type conn struct {
	*net.TCPConn
	raw syscall.RawConn

	reads  sync.Mutex
	in     []byte
	got    int
	inErr  error
	readFn func(fd uintptr) bool

	writes  sync.Mutex
	out     []byte
	put     int
	outErr  error
	writeFn func(fd uintptr) bool
	tryFn   func(fd uintptr) bool
}

var _ Writer = (*conn)(nil)

// Conn returns c with Read and Write by this package's system calls if it is a TCP connection, else c.
func Conn(c net.Conn) net.Conn {
	tcp, ok := c.(*net.TCPConn)
	if !ok {
		return c
	}
	raw, err := tcp.SyscallConn()
	if err != nil {
		return c
	}
	quiet := &conn{TCPConn: tcp, raw: raw}
	quiet.readFn, quiet.writeFn, quiet.tryFn = quiet.readOnce, quiet.writeOnce, quiet.tryOnce
	return quiet
}

// Read implements net.Conn.
func (c *conn) Read(b []byte) (int, error) {
	if len(b) == 0 {
		return 0, nil
	}
	c.reads.Lock()
	defer c.reads.Unlock()
	c.in = b
	err := c.raw.Read(c.readFn)
	c.in = nil
	switch {
	case err != nil:
		return 0, err // of the deadline, or closed
	case c.inErr != nil:
		return 0, c.fault("read", c.inErr)
	case c.got == 0:
		return 0, io.EOF
	}
	return c.got, nil
}

func (c *conn) readOnce(fd uintptr) bool {
	c.got, c.inErr = Read(int(fd), c.in)
	return c.inErr != syscall.EAGAIN //nolint:errorlint // a bare errno
}

// Write implements net.Conn.
func (c *conn) Write(b []byte) (int, error) { return c.write(b, c.writeFn) }

// TryWrite implements Writer.
func (c *conn) TryWrite(b []byte) (int, error) { return c.write(b, c.tryFn) }

func (c *conn) write(b []byte, once func(fd uintptr) bool) (int, error) {
	c.writes.Lock()
	defer c.writes.Unlock()
	if len(b) == 0 {
		return 0, nil
	}
	c.out, c.put, c.outErr = b, 0, nil
	err := c.raw.Write(once)
	c.out = nil
	if err == nil && c.outErr != nil {
		err = c.fault("write", c.outErr)
	}
	return c.put, err
}

// writeOnce writes until all is written, or the socket takes no more.
func (c *conn) writeOnce(fd uintptr) bool {
	for c.put < len(c.out) {
		n, err := Write(int(fd), c.out[c.put:])
		if err == syscall.EAGAIN { //nolint:errorlint // a bare errno
			return false
		}
		if err != nil {
			c.outErr = err
			return true
		}
		c.put += n
	}
	return true
}

// tryOnce is writeOnce, but does not wait until the socket takes more.
func (c *conn) tryOnce(fd uintptr) bool {
	c.writeOnce(fd)
	return true
}

// fault describes an error as package net does.
func (c *conn) fault(op string, err error) error {
	return &net.OpError{
		Op: op, Net: "tcp", Source: c.LocalAddr(), Addr: c.RemoteAddr(), Err: os.NewSyscallError(op, err),
	}
}
