package sim

import (
	"github.com/ringfleet/ringfleet/invitation"
)

// Time is [invitation.Time].
type Time = invitation.Time

// what says what an event is.
type what uint8

const (
	toArbiter  what = iota // msg reaches the arbiter of id
	toSession              // view, reply, or that there is no arbiter of id, reaches the session of who
	fromDevice             // login, call, word, logout or loss: the session of the device's user hears it
	toDevice               // down reaches the device who, over conn
	arbiterDue             // the timer of the arbiter of id
	sessionDue             // the timer of the session of who
	deviceDue              // the timer of the device who
	appActs                // the application on the device who does act about id
	newCall                // somebody calls somebody
	breaks                 // the connection of the device who breaks
	comesBack              // the device who connects
	restarts               // the program on the device who starts anew
	logsOut                // the user logs the device who out
	outage                 // the links between sessions and arbiters lose everything for a while
	sweep                  // everything that is open is looked at
	hangUp                 // the drain: all devices go
	finish                 // the end
	crash                  // a node is lost
	takeOver               // the other nodes take over what the node who had
	wake                   // the paused activations of the node who go on
	join                   // they are merged with those that took their place
)

// event is one thing that is going to happen. Which fields are set depends on what.
type event struct {
	what  what
	act   act
	who   int32
	epoch uint32 // of the device
	conn  uint64
	said  Time // when a message was said
	id    invitation.ID
	msg   *invitation.Message
	view  *invitation.View
	reply *invitation.Reply
	up    up
	over  bool
	life  uint32  // of the node of the caller, for what it says to itself
	at    *server // whose it is; nil: the world's
	down  invitation.Down
}

// up is what a device says, in the order of its connection.
type up struct {
	login  *invitation.Login
	call   *invitation.Call
	word   *invitation.Word
	logout bool
	lost   bool
}

// queue holds what is going to happen, the earliest first; at one time, what was put first. The
// events lie still, only their places are moved.
type queue struct {
	heap  []place
	slots []event
	free  []int32
	count uint64
}

type place struct {
	at    Time
	order uint64
	slot  int32
}

func (p place) before(q place) bool { return p.at < q.at || p.at == q.at && p.order < q.order }

// put adds an event at a time, which is made whole, and returns it, empty, to be filled in before the next put.
func (q *queue) put(at Time) *event {
	at = whole(at)
	var slot int32
	if n := len(q.free); n > 0 {
		slot, q.free = q.free[n-1], q.free[:n-1]
	} else {
		slot = int32(len(q.slots))
		q.slots = append(q.slots, event{})
	}
	q.count++
	q.heap = append(q.heap, place{at, q.count, slot})
	i := len(q.heap) - 1
	for i > 0 {
		parent := (i - 1) / 4
		if !q.heap[i].before(q.heap[parent]) {
			break
		}
		q.heap[i], q.heap[parent] = q.heap[parent], q.heap[i]
		i = parent
	}
	return &q.slots[slot]
}

// take removes the earliest event.
func (q *queue) take() (Time, event) {
	top := q.heap[0]
	last := len(q.heap) - 1
	q.heap[0] = q.heap[last]
	q.heap = q.heap[:last]
	q.sink()
	e := q.slots[top.slot]
	q.slots[top.slot] = event{}
	q.free = append(q.free, top.slot)
	return top.at, e
}

func (q *queue) sink() {
	for i := 0; ; {
		least := i
		for c := 4*i + 1; c <= 4*i+4 && c < len(q.heap); c++ {
			if q.heap[c].before(q.heap[least]) {
				least = c
			}
		}
		if least == i {
			return
		}
		q.heap[i], q.heap[least] = q.heap[least], q.heap[i]
		i = least
	}
}
