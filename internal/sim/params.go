package sim

import (
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/ringfleet/ringfleet/invitation/session"
)

// Params are a run. Equal Params are the same run.
type Params struct {
	Seed  uint64
	Calls int // how many are sent

	Users       int
	Devices     int     // of each user, at most
	Rate        float64 // calls per second of simulated time
	Policy      session.Policy
	MaxIncoming int // live incoming invitations of a user

	Patience time.Duration // how long applications wait, on average, before they do something

	// What goes wrong between sessions and arbiters.
	Loss    float64       // the part of messages that are lost
	Double  float64       // the part of messages that come twice
	Delay   time.Duration // the most that a message takes; they overtake each other
	Outages time.Duration // the mean time between two times at which all messages are lost; 0: never
	Panic   float64       // the part of messages at which an arbiter's actor panics
	Move    float64       // the part of messages before which a session or an arbiter moves to another node

	// What goes wrong with nodes. There are as many as Nodes; each has some users' sessions, the arbiters of what
	// they sent, and some devices' connections.
	Nodes int
	Crash time.Duration // the mean time between two losses of a node; 0: never
	Pause float64       // the part of them in which its sessions and arbiters go on later, as if nothing had been
	All   float64       // the part of them in which all nodes are lost at once

	// What goes wrong with devices: the mean times between two such events on one device; 0: never.
	Break   time.Duration // its connection breaks
	Restart time.Duration // its program ends, and is started anew
	Logout  time.Duration // its user logs out, and later in again
}

// Calm returns a run in which nothing goes wrong but that people do what they want.
func Calm(seed uint64, calls int) Params {
	return Params{
		Seed: seed, Calls: calls, Users: 200, Devices: 1, Rate: 50, MaxIncoming: 64,
		Patience: 2 * time.Second, Delay: time.Millisecond,
	}
}

// Draw returns a run in which everything may go wrong; how much of what, the seed decides.
func Draw(seed uint64, calls int) Params {
	r := rand.New(rand.NewPCG(seed, 0x5eed))
	one := func(of ...float64) float64 { return of[r.IntN(len(of))] }
	mean := func(of ...time.Duration) time.Duration { return of[r.IntN(len(of))] }
	p := Params{
		Seed: seed, Calls: calls,
		Users: 10 + r.IntN(190), Devices: 1 + r.IntN(3),
		Policy:      session.Policy(r.IntN(2)),
		MaxIncoming: int(one(2, 5, 64)),
		Patience:    mean(500*time.Millisecond, 3*time.Second, 20*time.Second),
		Loss:        one(0, 0.01, 0.1, 0.3),
		Double:      one(0, 0.01, 0.1, 0.5),
		Delay:       mean(time.Millisecond, 50*time.Millisecond, time.Second, 5*time.Second),
		Outages:     mean(0, 0, time.Minute),
		Panic:       one(0, 0, 0.0005),
		Break:       mean(0, 10*time.Second, time.Minute, 5*time.Minute),
		Restart:     mean(0, time.Minute, 10*time.Minute),
		Logout:      mean(0, time.Minute, 10*time.Minute),
	}
	if r.IntN(2) == 0 {
		p.Nodes, p.Crash, p.Pause = 1+r.IntN(5), mean(10*time.Second, 30*time.Second, 2*time.Minute), one(0, 0.3, 0.8)
		p.All = one(0, 0.1, 0.5)
	}
	p.Rate = float64(p.Users) * one(0.02, 0.1, 0.3)
	p.Move = one(0, 0.01, 0.3)
	return p
}

// String says what is simulated.
func (p Params) String() string {
	policy := "single"
	if p.Policy == session.Multi {
		policy = "multi"
	}
	return fmt.Sprintf("seed %d: %d calls of %d users with up to %d devices (%s), %g calls/s, at most %d incoming, patience %v; "+
		"loss %g, doubled %g, delay up to %v, outages each %v, panics %g, moves %g; a device's connection breaks each %v, "+
		"it restarts each %v, logs out each %v; of %d nodes one is lost each %v, %g of them paused, %g of them all at once",
		p.Seed, p.Calls, p.Users, p.Devices, policy, p.Rate, p.MaxIncoming, p.Patience,
		p.Loss, p.Double, p.Delay, p.Outages, p.Panic, p.Move, p.Break, p.Restart, p.Logout, p.Nodes, p.Crash, p.Pause, p.All)
}
