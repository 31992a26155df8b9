package actors

import (
	"testing"

	"github.com/ringfleet/ringfleet/invitation"
)

// TestPastRemembersRefusals: of an invitation that is over it is remembered whether its send was refused, also when
// others have gone since.
func TestPastRemembersRefusals(t *testing.T) {
	var p past
	ended, refused := invitation.NewID("alice", "phone", "ended"), invitation.NewID("alice", "phone", "refused")
	p.add(ended, 0)
	p.add(refused, 7)
	for i := range 2 * pastShards * 10 {
		p.add(invitation.NewID("alice", "phone", string(rune('0'+i))), 0)
	}
	if !p.has(ended) || p.refused(ended) != 0 || !p.has(refused) || p.refused(refused) != 7 {
		t.Errorf("ended: %v, refused %d; refused: %v, refused %d", p.has(ended), p.refused(ended), p.has(refused), p.refused(refused))
	}
	if unknown := (invitation.ID{1}); p.has(unknown) || p.refused(unknown) != 0 {
		t.Error("what never was is over")
	}
	for _, send := range []struct {
		id      invitation.ID
		request uint64
		begins  bool
	}{{ended, 8, false}, {refused, 7, false}, {refused, 8, true}} {
		msg := &invitation.Message{Kind: invitation.MsgStart, ID: send.id, RequestID: send.request}
		if p.anew(send.id, msg) != send.begins || p.has(send.id) == send.begins {
			t.Errorf("send %d begins %v", send.request, !send.begins)
		}
	}
}
