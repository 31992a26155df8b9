package explore

import (
	"fmt"
	"testing"
)

// losses are the losses of nodes with which a world is explored, one kind at a time: with all of them at once none
// closes. The users are ann, who calls, and ben.
var losses = []struct {
	world string
	loss  Loss
	short bool // it closes within a test run
}{
	{"cancel-brief", Loss{Users: 1}, true},
	{"cancel-brief", Loss{Users: 2}, true},
	{"cancel-brief", Loss{Users: 3}, true},
	{"cancel-brief", Loss{Users: 2, How: gateways}, false},
	{"accept-brief", Loss{Users: 2}, false},
}

// TestCrashes explores worlds in which a node is lost, at any moment.
func TestCrashes(t *testing.T) {
	for _, l := range losses {
		if !l.short && !*long {
			continue
		}
		w := Crashing(l.world, 1, 0)
		w.Lost = []Loss{l.loss}
		t.Run(fmt.Sprintf("%s/users=%d,how=%d", l.world, l.loss.Users, l.loss.How), func(t *testing.T) { world(t, w) })
	}
}
