package ringfleet

import (
	"context"
	"slices"
	"time"

	"github.com/ringfleet/ringfleet/actors"
	"github.com/ringfleet/ringfleet/cluster/ask"
	"github.com/ringfleet/ringfleet/internal/desk"
	"github.com/ringfleet/ringfleet/internal/peerwire"
	"github.com/ringfleet/ringfleet/invitation"
	"github.com/ringfleet/ringfleet/invitation/snapshot"
	"github.com/ringfleet/ringfleet/messages/peerpb"
)

// What a node remembers of how its users' invitations ended, when these users move, or another node is lost.

const (
	outcomesAtOnce = 256             // in one message or record, some 50 KiB
	mirrorsTime    = 2 * time.Second // an answer is waited for, and then until it is said again
	mirrorsAgain   = 5
)

func on(shards *invitation.ShardSet) func(invitation.User) bool {
	return func(user invitation.User) bool { return shards.Has(invitation.ShardOf(user)) }
}

// exportOutcomes gives what is remembered of the users of some shards.
func (n *Node) exportOutcomes(shards *invitation.ShardSet, add func(actors.Record)) {
	if n.outcomes == nil {
		return
	}
	for list := range slices.Chunk(n.outcomes.Give(on(shards), n.config.WallClock()), outcomesAtOnce) {
		add(actors.Record{Outcomes: list})
	}
}

// mirrorOutcomes tells those who own shards now that were lost with their node what this node knows of the outcomes of
// users there, from the other side. It returns when they have heard it, or have not answered for long.
func (n *Node) mirrorOutcomes(shards *invitation.ShardSet) {
	if n.outcomes == nil {
		return
	}
	untold := n.outcomes.Mirrors(on(shards), n.config.WallClock())
	for range mirrorsAgain {
		if untold = n.tellOwners(untold); len(untold) == 0 {
			return
		}
		select {
		case <-n.ending:
			return
		case <-time.After(mirrorsTime):
		}
	}
	n.config.Logger.Warn("not all could be told that is known of the outcomes of a node that was lost", "outcomes", len(untold))
}

// tellOwners tells outcomes to who has their users, and returns those that it could not tell.
func (n *Node) tellOwners(outcomes []snapshot.Outcome) (untold []snapshot.Outcome) {
	byOwner := map[string][]snapshot.Outcome{}
	for i := range outcomes {
		owner, _ := n.member.router.Owner(invitation.ShardOf(outcomes[i].User()))
		byOwner[owner] = append(byOwner[owner], outcomes[i])
	}
	for owner, of := range byOwner {
		if owner == n.config.Name {
			n.outcomes.Take(of, n.config.WallClock())
			continue
		}
		for len(of) > 0 && owner != "" {
			list := of[:min(outcomesAtOnce, len(of))]
			if n.tellOutcomes(owner, list) != nil {
				break
			}
			of = of[len(list):]
		}
		untold = append(untold, of...)
	}
	return untold
}

func (n *Node) tellOutcomes(owner string, list []snapshot.Outcome) error {
	ctx, cancel := context.WithTimeout(context.Background(), mirrorsTime)
	defer cancel()
	_, err := n.forward(ctx, desk.Remember, peerwire.OutcomesMessage(list), func(r *ask.Request) error {
		return n.member.router.SendNode(owner, peerwire.KindRequest, "", r)
	})
	return err
}

// rememberMirrors takes what another node tells so.
func (n *Node) rememberMirrors(m *peerpb.Outcomes) error {
	list, err := peerwire.Outcomes(m)
	if err == nil && n.outcomes != nil {
		n.outcomes.Take(list, n.config.WallClock())
	}
	return err
}
