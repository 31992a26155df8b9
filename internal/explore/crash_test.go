package explore

import (
	"fmt"
	"testing"
)

// losses are the losses of nodes with which a world is explored to closure, one kind at a time: with all of them at
// once none closes. The users are ann, who calls, and ben.
var losses = []struct {
	world  string
	loss   Loss
	losses int // of messages
	short  bool
}{
	{"cancel-brief", Loss{Users: 1}, 0, true},
	{"cancel-brief", Loss{Users: 2}, 0, true},
	{"cancel-brief", Loss{Users: 3}, 0, true},
	{"refuse-brief", Loss{Users: 1}, 0, true},
	{"refuse-brief", Loss{Users: 2}, 0, true},
	{"cancel-brief", Loss{Users: 2}, 1, true},
	{"cancel-brief", Loss{Users: 1}, 1, false},
	{"cancel-brief", Loss{Users: 2, How: gateways}, 0, false},
	{"refuse-brief", Loss{Users: 3}, 0, false},
	{"accept-brief", Loss{Users: 1}, 0, false},
	{"accept-brief", Loss{Users: 2}, 0, false},
	{"one-brief", Loss{Users: 2}, 0, false},
}

// TestCrashes explores worlds in which a node is lost, at any moment.
func TestCrashes(t *testing.T) {
	for _, l := range losses {
		if !l.short && !*long {
			continue
		}
		w := Crashing(l.world, 1, l.losses)
		w.Lost = []Loss{l.loss}
		t.Run(fmt.Sprintf("%s/users=%d,how=%d,losses=%d", l.world, l.loss.Users, l.loss.How, l.losses), func(t *testing.T) { world(t, w) })
	}
}
