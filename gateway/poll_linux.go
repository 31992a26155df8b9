package gateway

import (
	"errors"
	"net"
	"os"
	"syscall"

	"github.com/ringfleet/ringfleet/internal/rawio"
)

// A poller watches the sockets of its share of the connections with epoll and is the strand of each
// that has something to read. It owns the descriptors: beside a map entry and its conn, a connection
// that says nothing costs this process nothing, where a goroutine that waits in a read costs 2 KiB
// of stack and half as much again for the runtime's part (docs/adr/0006-websocket-library.md).
//
// Registration is edge-triggered, for reading, writing and the peer's hang-up at once, so that it
// never has to change. The edge that comes while a connection has a strand is kept in conn.again and
// conn.room.
type poller struct {
	g    *Gateway
	fd   int
	file *os.File // of fd: Go's own poller tells when there are events
	raw  syscall.RawConn

	handleFn func() // handle; made once, as each would be an allocation

	events [128]syscall.EpollEvent
	count  int
	buf    [readSize]byte
	more   []*conn // whose turn ended before their bytes did

	probeIn, probeOut int // a pipe for probes, whose events wait like those of connections
}

// probeID is of no connection: it says that an event is of the pipe.
const probeID = 0

const (
	epollEdge  = 1 << 31 // EPOLLET, which package syscall has as a negative number
	epollWatch = syscall.EPOLLIN | syscall.EPOLLOUT | syscall.EPOLLRDHUP | epollEdge
	epollOver  = syscall.EPOLLRDHUP | syscall.EPOLLHUP | syscall.EPOLLERR
	epollRead  = syscall.EPOLLIN | epollOver
	epollWrite = syscall.EPOLLOUT | syscall.EPOLLHUP | syscall.EPOLLERR
)

func newPoller(g *Gateway) (*poller, error) {
	fd, err := syscall.EpollCreate1(syscall.EPOLL_CLOEXEC)
	if err != nil {
		return nil, os.NewSyscallError("epoll_create1", err)
	}
	if err := syscall.SetNonblock(fd, true); err != nil {
		return nil, errors.Join(os.NewSyscallError("fcntl", err), syscall.Close(fd))
	}
	p := &poller{g: g, fd: fd, file: os.NewFile(uintptr(fd), "epoll")}
	if p.raw, err = p.file.SyscallConn(); err != nil {
		return nil, errors.Join(err, p.file.Close())
	}
	if err := p.openProbes(); err != nil {
		return nil, errors.Join(err, p.file.Close())
	}
	p.handleFn = p.handle
	go p.run()
	return p, nil
}

// openProbes makes the pipe, and watches it.
func (p *poller) openProbes() error {
	var pipe [2]int
	if err := syscall.Pipe2(pipe[:], syscall.O_NONBLOCK|syscall.O_CLOEXEC); err != nil {
		return os.NewSyscallError("pipe2", err)
	}
	p.probeOut, p.probeIn = pipe[0], pipe[1]
	event := syscall.EpollEvent{Events: syscall.EPOLLIN | epollEdge} // its number is probeID
	if err := syscall.EpollCtl(p.fd, syscall.EPOLL_CTL_ADD, p.probeOut, &event); err != nil {
		return errors.Join(os.NewSyscallError("epoll_ctl", err), syscall.Close(p.probeIn), syscall.Close(p.probeOut))
	}
	return nil
}

// probe sends a probe, which comes to Gateway.probed when the poller has seen to all events before it. It reports
// whether that was possible. Gateway.pollMu is held.
func (p *poller) probe() bool {
	n, err := rawio.Write(p.probeIn, []byte{0})
	return n == 1 && err == nil
}

// arrived takes a probe.
func (p *poller) arrived() {
	var one [1]byte
	if n, err := rawio.Read(p.probeOut, one[:]); n == 1 && err == nil {
		p.g.probed()
	}
}

// adopt takes the socket out of tcp, which it closes, into c.fd. Where that is not possible it leaves
// both as they are.
func (p *poller) adopt(c *conn, tcp *net.TCPConn) {
	raw, err := tcp.SyscallConn()
	if err != nil {
		return
	}
	fd := -1
	if err := raw.Control(func(old uintptr) { fd = duplicate(int(old)) }); err != nil || fd < 0 {
		return
	}
	_ = tcp.Close() // the socket lives on in fd
	c.fd = int32(fd)
}

// watch begins to make the poller the strand of c when there is something to read.
func (p *poller) watch(c *conn) bool {
	event := syscall.EpollEvent{Events: epollWatch, Fd: int32(c.id), Pad: int32(c.id >> 32)}
	return syscall.EpollCtl(p.fd, syscall.EPOLL_CTL_ADD, int(c.fd), &event) == nil
}

// duplicate returns -1 when no more files may be open.
func duplicate(fd int) int {
	syscall.ForkLock.RLock()
	defer syscall.ForkLock.RUnlock()
	dup, err := syscall.Dup(fd)
	if err != nil {
		return -1
	}
	syscall.CloseOnExec(dup)
	return dup
}

// stop ends the poller, after the last of its connections.
func (p *poller) stop() { _ = p.file.Close() }

func (p *poller) run() {
	defer func() { _, _ = syscall.Close(p.probeIn), syscall.Close(p.probeOut) }() // here, where nobody reads any more
	wait := func(fd uintptr) bool {
		n, err := rawio.Events(int(fd), p.events[:])
		p.count = max(n, 0)
		return n > 0 || len(p.more) > 0 || err != nil && !errors.Is(err, syscall.EINTR)
	}
	for {
		if err := p.raw.Read(wait); err != nil {
			return // stopped
		}
		if turns := p.g.config.Turns; turns != nil {
			turns.Help(p.handleFn)
		} else {
			p.handle()
		}
	}
}

// handle handles the events that there are.
func (p *poller) handle() {
	more := p.more
	p.more = nil
	for _, c := range more {
		p.turn(c)
	}
	for _, e := range p.events[:p.count] {
		id := uint64(uint32(e.Fd)) | uint64(uint32(e.Pad))<<32
		if id == probeID {
			p.arrived()
			continue
		}
		c, ok := p.g.conns.get(id).(*conn)
		if !ok {
			continue // gone meanwhile
		}
		if e.Events&epollWrite != 0 {
			c.writable()
		}
		if e.Events&epollRead != 0 && c.beginStrand(e.Events&epollOver != 0) {
			p.turn(c)
		}
	}
}

// turnReads is how many reads a connection gets before others have their turn.
const turnReads = 8

// turn reads what there is for c, whose strand the poller is, and ends the strand, unless the turn is
// over before or a frame wants a goroutine.
func (p *poller) turn(c *conn) {
	for range turnReads {
		n, wait := c.readSome(p.buf[:])
		if work := c.feedSafely(p.buf[:n]); work != nil {
			go c.readAlone(work)
			return
		}
		if wait && c.pauseStrand() {
			return
		}
	}
	p.more = append(p.more, c)
}

// read reads once. empty reports that there was nothing, and that an event will tell when there is.
// The end of the stream is 0 bytes, not empty, without an error.
func (p *poller) read(fd int32, b []byte) (n int, empty bool, err error) {
	n, err = rawio.Read(int(fd), b)
	if err == syscall.EAGAIN { //nolint:errorlint // a bare errno
		return 0, true, nil
	}
	return max(n, 0), false, err
}

// write writes once. full reports that the socket takes no more, and that an event will tell when.
func (p *poller) write(fd int32, b []byte) (n int, full bool, err error) {
	n, err = rawio.Write(int(fd), b)
	if err == syscall.EAGAIN { //nolint:errorlint // a bare errno
		return 0, true, nil
	}
	return max(n, 0), false, err
}

// hangUp ends the conversation at once, while others may still use the descriptor.
func (p *poller) hangUp(fd int32) { _ = syscall.Shutdown(int(fd), syscall.SHUT_RDWR) }

// close closes the descriptor; epoll forgets it with that.
func (p *poller) close(fd int32) { _ = syscall.Close(int(fd)) }
