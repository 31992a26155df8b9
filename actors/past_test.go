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
	p.add(ended, false)
	p.add(refused, true)
	for i := range 2 * pastShards * 10 {
		p.add(invitation.NewID("alice", "phone", string(rune('0'+i))), false)
	}
	if !p.has(ended) || p.refused(ended) || !p.has(refused) || !p.refused(refused) {
		t.Errorf("ended: %v, refused %v; refused: %v, refused %v", p.has(ended), p.refused(ended), p.has(refused), p.refused(refused))
	}
	if unknown := (invitation.ID{1}); p.has(unknown) || p.refused(unknown) {
		t.Error("what never was is over")
	}
}
