package actors

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/ringfleet/ringfleet/actors/engine"
	"github.com/ringfleet/ringfleet/invitation"
	"github.com/ringfleet/ringfleet/invitation/session"
)

// Network carries what the actors of a node say to where the receiver lives, be it this node. Its
// methods are called by actors: they must not block, and what they can not deliver they drop; the
// protocol repeats it. What they are given must not be changed. Inputs, replies and messages are used
// again as soon as a method returns; views, and what inputs and messages point to, may be kept.
type Network interface {
	// Session carries an input to the session of user. Views and replies have methods of their own, as
	// most of what arbiters say is one of them.
	Session(user invitation.User, in *session.Input)
	// View carries what an arbiter says, the input InView, to the session of user.
	View(user invitation.User, v *invitation.View)
	// Reply carries what an arbiter answers, the input InReply, to the session of user.
	Reply(user invitation.User, r *invitation.Reply)
	// Arbiter carries a message to the arbiter of msg.ID.
	Arbiter(msg *invitation.Message)
	// Holds reports whether actors of a shard may come to be here. While it does not, what would make
	// one goes to the other methods, which must not tell it to this host then: the host would say it again.
	// So it is true again before the host is told what was kept back meanwhile.
	// It is called under locks, so it must be quick and must not call the host.
	Holds(shard invitation.Shard) bool
	// LostAt returns when this node took over a shard without what lived on it, or 0: it did not. A session
	// that is made soon after knows that its devices may know more than it does. It must be as quick as Holds.
	LostAt(shard invitation.Shard) invitation.Time
	// Device carries down to a connection of a device of user. Where it finds that there is no such
	// connection, it tells the session so, by an InDetach without a device.
	Device(user invitation.User, conn session.Conn, down invitation.Down)
}

// Stage is what an [Observer] is told: an invitation has moved.
type Stage struct {
	View  *invitation.View // what holds now; must not be changed
	Now   invitation.Time
	Sent  invitation.Time  // when the send was taken
	First bool             // there was no stage before
	From  invitation.Stage // the stage before
	Since invitation.Time  // when that one was reached

	Rang      invitation.Time // when the first ack came; 0: none has
	Answered  invitation.Time // when it was accepted or refused; 0: it was not
	Recovered bool            // the times are those of this arbiter: the one before it was lost
}

// Observer is told of every invitation's life on this node. Its methods are called by actors: they
// must be quick, must not block, and may be called for several invitations at once; for one
// invitation they are called in order.
type Observer interface {
	// Moved tells that an invitation has reached a stage: Offering when it was sent, and so on to
	// Ended, which comes once. Stages may be left out.
	Moved(s Stage)
	// Settled tells that an invitation's arbiter has gone.
	Settled(s Stage)
	// Departed tells that an invitation has gone to another node, at the stage From, and Arrived that one
	// has come, at that stage, which another node has told its observer.
	Departed(s Stage)
	Arrived(s Stage)
	// Late tells by how much a deadline was kept late.
	Late(by time.Duration)
}

// Events is told of every invitation's life, for the deployment's back-end. What is said of [Observer] holds.
type Events interface {
	// Happened tells of an event; s.View is what holds. For one invitation the kinds come in order, each once while
	// its arbiter lives, whichever node it lives on; an arbiter that is made anew after a loss tells all that still
	// holds again (Stage.Recovered).
	//
	// The last is EventEnded, with final set: how the invitation ended cannot change any more. Before it the same may
	// come without: how it has ended as far as is known now, told before anybody else hears of it.
	Happened(kind invitation.EventKind, s Stage, final bool)
}

// Options configure a [Host].
type Options struct {
	Network  Network        // required
	Observer Observer       // nil: none
	Events   Events         // nil: none
	Session  session.Config // zero fields: the defaults
	Engine   engine.Options
	// WallClock numbers what sessions say of presence that take a lost one's place, so that it counts after what that one
	// said. No deadline is kept by it. The default is time.Now.
	WallClock func() time.Time
	// Outcome, if set, is told each view of an invitation that has ended, by the session of a user that it is told to:
	// once or more for each side. It is called by an actor, and must be quick.
	Outcome func(user invitation.User, v *invitation.View, now invitation.Time)
	// MaxSessions and MaxInvitations bound the live actors; over them a message that would make one
	// more is refused with engine.ErrBusy. The default of each is 8,388,608.
	MaxSessions    int
	MaxInvitations int
}

// Host runs the sessions and arbiters of one node. Make it with [New].
type Host struct {
	network  Network
	observer Observer
	events   Events
	config   session.Config
	clock    func() time.Time
	outcome  func(invitation.User, *invitation.View, invitation.Time)
	system   *engine.System
	logger   *slog.Logger
	sessions *engine.Directory[invitation.User]
	arbiters *engine.Directory[invitation.ID]

	past past

	inputs         sync.Pool // of *input
	messages       sync.Pool // of *invitation.Message
	sessionScratch sync.Pool
	arbiterScratch sync.Pool

	fault func(msg any) // tests: called before each message is handled; may panic
}

// New starts a host. It runs the goroutines of an [engine.System] until [Host.Stop].
func New(options Options) *Host {
	h := &Host{
		network:  options.Network,
		observer: options.Observer,
		events:   options.Events,
		config:   options.Session.WithDefaults(),
		clock:    options.WallClock,
		outcome:  options.Outcome,
		system:   engine.New(options.Engine),
		logger:   options.Engine.Logger,
	}
	if h.logger == nil {
		h.logger = slog.New(slog.DiscardHandler)
	}
	if h.clock == nil {
		h.clock = time.Now
	}
	h.inputs.New = func() any { return new(input) }
	h.messages.New = func() any { return new(invitation.Message) }
	h.sessionScratch.New = func() any { return new(sessionScratch) }
	h.arbiterScratch.New = func() any { return new(arbiterScratch) }
	h.sessions = engine.NewDirectory(h.system, engine.DirectoryOptions[invitation.User]{
		Activate: h.newSession, Miss: h.sessionMissed, Limit: options.MaxSessions,
	})
	h.arbiters = engine.NewDirectory(h.system, engine.DirectoryOptions[invitation.ID]{
		Activate: h.newArbiter, Miss: h.arbiterMissed, Limit: options.MaxInvitations,
	})
	return h
}

// TellSession gives an input to the session of user on this node. The host keeps a copy of *in. The
// errors are [engine.ErrBusy] and [engine.ErrStopped]: in was not taken.
func (h *Host) TellSession(user invitation.User, in *session.Input) error {
	told := h.inputs.Get().(*input)
	told.Input = *in
	return h.sessions.Tell(user, told)
}

// TellView gives an arbiter's view to the session of user on this node; see [Host.TellSession].
func (h *Host) TellView(user invitation.User, v *invitation.View) error {
	return h.sessions.Tell(user, v)
}

// TellReply gives an arbiter's answer to the session of user on this node; see [Host.TellSession].
func (h *Host) TellReply(user invitation.User, r *invitation.Reply) error {
	told := h.inputs.Get().(*input)
	told.reply = *r
	told.Kind, told.Reply = session.InReply, &told.reply
	return h.sessions.Tell(user, told)
}

// TellArbiter gives a message to the arbiter of msg.ID on this node. The host keeps a copy of *msg. The
// errors are [engine.ErrBusy] and [engine.ErrStopped]: msg was not taken. [engine.ErrFull], an ErrBusy,
// says that there is no such arbiter.
func (h *Host) TellArbiter(msg *invitation.Message) error {
	told := h.messages.Get().(*invitation.Message)
	*told = *msg
	return h.arbiters.Tell(msg.ID, told)
}

// Help calls tell and runs actors on this goroutine; see [engine.System.Help].
func (h *Host) Help(tell func()) { h.system.Help(tell) }

// Run calls do behind the actors that wait; see [engine.System.Run].
func (h *Host) Run(do func()) { h.system.Run(do) }

// Settles is [engine.System.Settles].
func (h *Host) Settles() bool { return h.system.Settles() }

// Now returns the node's time.
func (h *Host) Now() invitation.Time { return h.system.Now() }

// Config returns the sessions' configuration, its defaults filled in.
func (h *Host) Config() session.Config { return h.config }

// Stop ends all actors; see [engine.System.Stop].
func (h *Host) Stop(ctx context.Context) error { return h.system.Stop(ctx) }

// Stats are the counts of a [Host].
type Stats struct {
	Engine   engine.Stats
	Sessions engine.DirectoryStats
	Arbiters engine.DirectoryStats
}

// Stats returns the counts. It takes some hundred short locks.
func (h *Host) Stats() Stats {
	return Stats{Engine: h.system.Stats(), Sessions: h.sessions.Stats(), Arbiters: h.arbiters.Stats()}
}

// Live returns how many sessions and invitations have an actor. O(1).
func (h *Host) Live() (sessions, invitations int) { return h.sessions.Len(), h.arbiters.Len() }
