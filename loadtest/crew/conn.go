package crew

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"time"

	"github.com/ringfleet/ringfleet/loadtest/figures"
	"github.com/ringfleet/ringfleet/loadtest/stats"
)

// Protocol is the version of what leader and workers say; they must have the same.
const Protocol = 1

// Message is what one says to the other; one of its fields is set.
type Message struct {
	Hello    *Hello       `json:"hello,omitempty"`    // worker: it is there
	Job      *Job         `json:"job,omitempty"`      // leader: what it is to do
	Ready    bool         `json:"ready,omitempty"`    // worker: it can begin
	Start    bool         `json:"start,omitempty"`    // leader: begin now
	Progress *Progress    `json:"progress,omitempty"` // worker: how it goes, every second
	Text     string       `json:"text,omitempty"`     // worker: for people
	Stop     bool         `json:"stop,omitempty"`     // leader: begin no more calls, and come to an end
	Result   *figures.Run `json:"result,omitempty"`   // worker: what it came to, the last thing that it says
	Error    string       `json:"error,omitempty"`    // either: why it goes no further
}

// Hello is how a worker presents itself.
type Hello struct {
	Protocol int    `json:"protocol"`
	Token    string `json:"token"`
	Host     string `json:"host"`
	PID      int    `json:"pid"`
}

// Job is a worker's part of a run.
type Job struct {
	Args    []string `json:"args"` // the leader's flags
	Targets []string `json:"targets"`
	Seed    uint64   `json:"seed"`
	Part    int      `json:"part"` // from 0
	Parts   int      `json:"parts"`
}

// Progress is how a worker's run goes.
type Progress struct {
	Begun      int64            `json:"begun"`
	Completed  int64            `json:"completed"`
	InFlight   int64            `json:"in_flight"`
	Online     int64            `json:"online"`
	Lost       int64            `json:"lost"` // connections
	Violations int64            `json:"violations"`
	Failed     int64            `json:"failed"`
	Errors     int64            `json:"errors"`
	Ringing    *stats.Histogram `json:"ringing"` // since the last time
}

// Add adds another's progress.
func (p *Progress) Add(more *Progress) {
	p.Begun += more.Begun
	p.Completed += more.Completed
	p.InFlight += more.InFlight
	p.Online += more.Online
	p.Lost += more.Lost
	p.Violations += more.Violations
	p.Failed += more.Failed
	p.Errors += more.Errors
	if more.Ringing != nil {
		p.Ringing.Merge(more.Ringing)
	}
}

// Bounds of what is said.
const (
	maxHello     = 4 << 10
	maxMessage   = 512 << 20 // a result with its windows
	writeTimeout = 30 * time.Second
)

// Conn is one end. Send may be called by any goroutine, Receive by one at a time.
type Conn struct {
	conn net.Conn
	mu   sync.Mutex
}

// Send says something. It waits until the connection has taken it, for 30 s at most.
func (c *Conn) Send(m *Message) error {
	text, err := json.Marshal(m)
	if err != nil {
		return fmt.Errorf("encode: %w", err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.conn.SetWriteDeadline(time.Now().Add(writeTimeout))
	frame := binary.BigEndian.AppendUint32(make([]byte, 0, 4+len(text)), uint32(len(text)))
	if _, err := c.conn.Write(append(frame, text...)); err != nil {
		return fmt.Errorf("say something: %w", err)
	}
	return nil
}

// Receive waits for what the other end says next.
func (c *Conn) Receive() (*Message, error) { return c.receive(maxMessage) }

func (c *Conn) receive(most uint32) (*Message, error) {
	var head [4]byte
	if _, err := io.ReadFull(c.conn, head[:]); err != nil {
		return nil, fmt.Errorf("listen: %w", err)
	}
	n := binary.BigEndian.Uint32(head[:])
	if n > most {
		return nil, fmt.Errorf("a message of %d bytes, more than %d: is the other end loadtest?", n, most)
	}
	text := make([]byte, n)
	if _, err := io.ReadFull(c.conn, text); err != nil {
		return nil, fmt.Errorf("listen: %w", err)
	}
	m := &Message{}
	if err := json.Unmarshal(text, m); err != nil {
		return nil, fmt.Errorf("decode: %w", err)
	}
	if m.Error != "" {
		return nil, errors.New(m.Error)
	}
	return m, nil
}

// Close ends the connection.
func (c *Conn) Close() error { return c.conn.Close() }
