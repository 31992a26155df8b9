package crew

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"errors"
	"fmt"
	"net"
	"os"
	"time"
)

// helloTime is how long a worker has to present itself.
const helloTime = 10 * time.Second

// Door is where workers join a leader.
type Door struct {
	// Token is what a worker must know.
	Token string

	listener net.Listener
}

// Open opens a door at an address, as 127.0.0.1:0, with a token of its own unless one is given.
func Open(address, token string) (*Door, error) {
	listener, err := net.Listen("tcp", address)
	if err != nil {
		return nil, fmt.Errorf("wait for workers: %w", err)
	}
	if token == "" {
		token = rand.Text()
	}
	return &Door{Token: token, listener: listener}, nil
}

// Address is where the door is.
func (d *Door) Address() string { return d.listener.Addr().String() }

// Close lets nobody in any more.
func (d *Door) Close() error { return d.listener.Close() }

// Worker is a worker that has joined.
type Worker struct {
	Conn

	Hello Hello
}

// Gather waits until n workers have joined, or ctx is done. Whoever does not know the token is told so and sent away; refused
// is called with the reason.
func (d *Door) Gather(ctx context.Context, n int, refused func(error)) ([]*Worker, error) {
	stop := context.AfterFunc(ctx, func() { _ = d.listener.Close() })
	defer stop()
	var workers []*Worker
	for len(workers) < n {
		conn, err := d.listener.Accept()
		if err != nil {
			return workers, fmt.Errorf("%d of %d workers have joined: %w", len(workers), n, errors.Join(context.Cause(ctx), err))
		}
		w, err := d.admit(conn)
		if err != nil {
			refused(fmt.Errorf("%v: %w", conn.RemoteAddr(), err))
			conn.Close()
			continue
		}
		workers = append(workers, w)
	}
	return workers, nil
}

// admit lets a worker in that knows the token.
func (d *Door) admit(conn net.Conn) (*Worker, error) {
	w := &Worker{Conn: Conn{conn: conn}}
	conn.SetReadDeadline(time.Now().Add(helloTime))
	m, err := w.receive(maxHello)
	switch {
	case err != nil:
		return nil, err
	case m.Hello == nil:
		err = errors.New("want a worker's hello first")
	case m.Hello.Protocol != Protocol:
		err = fmt.Errorf("the worker speaks version %d, the leader %d: use the same loadtest", m.Hello.Protocol, Protocol)
	case subtle.ConstantTimeCompare([]byte(m.Hello.Token), []byte(d.Token)) != 1:
		err = errors.New("the worker does not know the leader's token")
	}
	if err != nil {
		_ = w.Send(&Message{Error: err.Error()}) // it is sent away either way
		return nil, err
	}
	w.Hello = *m.Hello
	conn.SetReadDeadline(time.Time{})
	return w, nil
}

// Join joins a leader, and returns with the part it gives. It tries until ctx is done, as the leader may come later.
func Join(ctx context.Context, leader, token string) (*Conn, *Job, error) {
	conn, err := dial(ctx, leader)
	if err != nil {
		return nil, nil, fmt.Errorf("join %s: %w", leader, err)
	}
	c := &Conn{conn: conn}
	host, _ := os.Hostname()
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	defer stop()
	if err := c.Send(&Message{Hello: &Hello{Protocol: Protocol, Token: token, Host: host, PID: os.Getpid()}}); err != nil {
		conn.Close()
		return nil, nil, fmt.Errorf("join %s: %w", leader, err)
	}
	m, err := c.Receive()
	if err == nil && m.Job == nil {
		err = errors.New("want a job first")
	}
	if err != nil {
		conn.Close()
		return nil, nil, fmt.Errorf("join %s: %w", leader, err)
	}
	return c, m.Job, nil
}

// redialAfter is how soon a leader that is not there is called again.
const redialAfter = 200 * time.Millisecond

func dial(ctx context.Context, leader string) (net.Conn, error) {
	var d net.Dialer
	for {
		conn, err := d.DialContext(ctx, "tcp", leader)
		if err == nil {
			return conn, nil
		}
		timer := time.NewTimer(redialAfter)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return nil, err
		}
	}
}
