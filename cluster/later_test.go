package cluster_test

import (
	"testing"

	"github.com/ringfleet/ringfleet/cluster"
	"github.com/ringfleet/ringfleet/invitation"
)

// patient counts what may wait.
type patient struct {
	nowhere
	later int
}

func (p *patient) SendLater(cluster.Member, []byte) error {
	p.later++
	return nil
}

// TestSendLater: a message that may wait does so where the link can do that, and is delivered at once on this node.
func TestSendLater(t *testing.T) {
	for _, c := range []struct {
		link cluster.Link
		want int
	}{{new(patient), 2}, {nowhere{}, 0}} {
		delivered := 0
		r, err := cluster.NewRouter(cluster.Config{
			Self: "a", Codec: texts{}, Link: c.link, Deliver: func(cluster.Envelope) error { delivered++; return nil },
		})
		if err != nil {
			t.Fatal(err)
		}
		if err := r.SetView(cluster.View{Epoch: 1, Members: serving("a", "b")}); err != nil {
			t.Fatal(err)
		}
		var here, there bool
		for shard := invitation.Shard(0); !here || !there; shard++ {
			_, self := r.Owner(shard)
			if self && here || !self && there {
				continue
			}
			here, there = here || self, there || !self
			if err := r.SendLater(shard, kind, "", "text"); err != nil {
				t.Error(err)
			}
			if !self {
				if err := r.Send(shard, kind, "", "text"); err != nil {
					t.Error(err)
				}
			}
		}
		if err := r.SendNodeLater("b", kind, "", "text"); err != nil {
			t.Error(err)
		}
		waited := 0
		if p, ok := c.link.(*patient); ok {
			waited = p.later
		}
		if s := r.Stats(); waited != c.want || delivered != 1 || s.Local != 1 || s.Remote != 3 {
			t.Errorf("%d waited, want %d; %d delivered; %+v", waited, c.want, delivered, s)
		}
	}
}
