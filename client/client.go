package client

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"sync"
	"time"

	"github.com/ringfleet/ringfleet/invitation"
)

// Options configure a [Client].
type Options struct {
	// User is who logs in. It must be the subject of the token that the carrier presents.
	User invitation.User
	// Device names this endpoint of the user. It must be the same over restarts of the program if they
	// are to count as reconnects, and must not be used by two clients at a time: the newer connection
	// ends the older. The default is a new random id for each client.
	Device invitation.Device

	// OnRemoteInvitation and OnEvent are set as by the methods of the same names.
	OnRemoteInvitation func(*RemoteInvitation)
	OnEvent            func(Event)

	// Observer, if set, sees every step of the protocol, in order. It is called with the client locked:
	// it must be quick, and must not call the client or its invitations.
	Observer func(Observation)

	// MaxInvitations bounds the live invitations of the client, both ways, and the events that were not
	// delivered. Over it, Send gives LIMIT_EXCEEDED and offers are not taken. The default is 10,000.
	MaxInvitations int
	// MaxEnded bounds the ended invitations that are kept until the node says that both sides have
	// concluded. Of more, the oldest are dropped. The default is 1,024.
	MaxEnded int
	// Linger is how long an ended invitation is kept at most, and how long the client may be away before
	// it ends its live invitations as OUTCOME_FORGOTTEN. It should be the deployment's. The default is
	// that of [invitation.DefaultTimers].
	Linger time.Duration
	// DialTimeout bounds one attempt to connect and log in. The default is 10 s.
	DialTimeout time.Duration
	// MaxBackoff bounds the random wait before an attempt to reconnect, where the node told none. The
	// default is 10 s.
	MaxBackoff time.Duration
}

var defaults = Options{}.withDefaults()

// shared returns the options that may be those of other clients, too: bounds and observer.
func (o Options) shared() *Options {
	if o.Observer == nil && o.MaxInvitations == 0 && o.MaxEnded == 0 && o.Linger == 0 && o.DialTimeout == 0 && o.MaxBackoff == 0 {
		return &defaults
	}
	o = o.withDefaults()
	return &o
}

func (o Options) withDefaults() Options {
	o.MaxInvitations = positive(o.MaxInvitations, 10_000)
	o.MaxEnded = positive(o.MaxEnded, 1_024)
	o.Linger = positive(o.Linger, invitation.DefaultTimers.Linger)
	o.DialTimeout = positive(o.DialTimeout, 10*time.Second)
	o.MaxBackoff = positive(o.MaxBackoff, 10*time.Second)
	return o
}

func positive[N int | time.Duration](n, otherwise N) N {
	if n <= 0 {
		return otherwise
	}
	return n
}

// Client is one device of one user. All its methods are safe for concurrent use, and may be called
// from callbacks.
//
// A program may hold a million of them. So what only some need is made when they do, and given back when
// they are idle; and the order of the fields leaves no gaps.
type Client struct {
	carrier Carrier
	user    invitation.User
	device  invitation.Device
	options *Options      // but for what is the client's own; the same for all that leave it to the defaults
	epoch   time.Duration // when it was made, since origin

	mu         sync.Mutex // guards everything below, and all halves
	phase      phase
	resume     bool  // stamp is of a session that goes on
	leaving    bool  // Logout was called
	logoutSaid bool  // and said
	tell       bool  // the node has asked for all words
	armed      bool  // the timer is
	delivering bool  // a goroutine delivers events
	freed      uint8 // waiters in free

	// The connection (connect.go).
	attached *attachment
	rare     *rare  // nil: nothing of it is needed
	stamp    uint64 // of the Welcome
	dials    uint32 // how often a connection was tried

	undelivered int32 // events that the delivering goroutine has taken and not fired (event.go)

	// Invitations (keep.go).
	byID   index[invitation.ID, half]
	live   list // sent or shown, not ended
	ended  list // ended, the word kept
	memory *memory

	// Requests (request.go).
	requestID uint64
	pending   index[uint64, pending]
	free      *waiter // waiters for reuse
	timer     *time.Timer
	wake      time.Duration // when the timer fires, if armed
	quickTo   time.Duration // until when requests are repeated without delay
	auditAt   time.Duration // when to ask for invitations that nothing was told of; 0: never
	lookAt    time.Duration // when to look after invitations by the client's own accord; 0: never

	// Events (event.go).
	onRemote func(*RemoteInvitation)
	onEvent  func(Event)
	channel  chan Event
	events   *batch[Event] // queued; nil: none
}

// rare is what a client has while it connects, is away, ends, or is waited for.
type rare struct {
	stop     context.CancelFunc // ends the Login or the reconnecting that is under way
	failures uint32             // attempts to reconnect in a row that came to nothing
	gaveUpAt time.Duration      // when an attempt to connect was given up; 0: never
	forgetAt time.Duration      // when to give up on live invitations; 0: never
	telling  *telling           // the words that are to be said yet (recover.go)
	stale    *attachment        // to be closed when the mutex is released
	progress chan struct{}      // closed when something changes that Logout waits for
	closed   chan struct{}      // closed by Close
}

// noRare is what those that have nothing of it have. It is never written.
var noRare rare

// seldom returns what a client seldom has, to be read.
func (c *Client) seldom() *rare {
	if c.rare == nil {
		return &noRare
	}
	return c.rare
}

// change returns it to be written.
func (c *Client) change() *rare {
	if c.rare == nil {
		c.rare = new(rare)
	}
	return c.rare
}

// spare gives it up if there is nothing in it.
func (c *Client) spare() {
	if r := c.seldom(); r.stop == nil && r.failures == 0 && r.gaveUpAt == 0 && r.forgetAt == 0 && r.telling == nil &&
		r.stale == nil && r.progress == nil && r.closed == nil {
		c.rare = nil
	}
}

// phase is where a client is.
type phase uint8

const (
	idle       phase = iota // no session
	connecting              // Login is under way
	online
	away   // the session goes on, the connection is lost
	closed // for ever
)

// New returns a client that is not logged in. carrier brings its words to a node: a [*WebSocket], or
// that of a node in the same program. It costs no goroutine and needs no Close before Login.
func New(carrier Carrier, options Options) *Client {
	c := &Client{
		carrier:   carrier,
		user:      options.User,
		device:    options.Device,
		options:   options.shared(),
		epoch:     time.Since(origin),
		requestID: randomUint64(),
		onRemote:  options.OnRemoteInvitation,
		onEvent:   options.OnEvent,
	}
	if c.device == "" {
		c.device = invitation.Device("go-" + rand.Text())
	}
	return c
}

// Dial is [New] and [Client.Login].
func Dial(ctx context.Context, carrier Carrier, options Options) (*Client, error) {
	c := New(carrier, options)
	if err := c.Login(ctx); err != nil {
		_ = c.Close()
		return nil, err
	}
	return c, nil
}

func randomUint64() uint64 {
	var b [8]byte
	rand.Read(b[:]) // never fails
	return binary.LittleEndian.Uint64(b[:])
}

// origin is what all times of clients are counted from.
var origin = time.Now()

// now is the time on the client's clock, which is 0 when it is made.
func (c *Client) now() time.Duration { return time.Since(origin) - c.epoch }

// User returns who the client logs in as.
func (c *Client) User() invitation.User { return c.user }

// Device returns the id of this device.
func (c *Client) Device() invitation.Device { return c.device }

// Connected reports whether the client is logged in and has a connection now.
func (c *Client) Connected() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.phase == online
}

// OnRemoteInvitation sets the function that is called for each invitation the client is shown. A
// client that has neither this, OnEvent nor Events takes no invitations: the user's other devices
// ring. See the package's doc for where callbacks run; f may Accept or Refuse.
func (c *Client) OnRemoteInvitation(f func(*RemoteInvitation)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.onRemote = f
}

// OnEvent sets the function that is called for every event of the client, after the invitation's own
// and after OnRemoteInvitation. See the package's doc for where callbacks run.
func (c *Client) OnEvent(f func(Event)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.onEvent = f
}

// Events returns a channel of every event of the client from now on; it is the same at each call.
// Who calls Events must read on until the channel is closed, by Close: no event is dropped, and
// callbacks wait while the channel is full.
func (c *Client) Events() <-chan Event {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.channel == nil {
		c.channel = make(chan Event, 16)
		if c.phase == closed && !c.delivering {
			close(c.channel)
		}
	}
	return c.channel
}

// Query asks the node for the state of an invitation that this user sent or was sent. The client
// knows the states of its own objects; this is for ids that come from elsewhere. NOT_FOUND is the
// error for an invitation that is unknown, or not this user's.
func (c *Client) Query(ctx context.Context, id invitation.ID) (invitation.Notice, error) {
	if err := context.Cause(ctx); err != nil {
		return invitation.Notice{}, err
	}
	c.mu.Lock()
	if err := c.sessionError(); err != nil {
		c.release()
		return invitation.Notice{}, err
	}
	p := &pending{}
	p.call.Request, p.call.ID = invitation.Query, id
	w := c.join(p)
	c.begin(p)
	c.release()
	n, err := c.await(ctx, w)
	switch {
	case err != nil:
		return invitation.Notice{}, err
	case n == nil:
		return invitation.Notice{}, invitation.NotFound
	}
	return *n, nil
}
