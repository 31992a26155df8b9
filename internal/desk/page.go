package desk

import (
	"encoding/base64"
	"encoding/binary"

	"github.com/ringfleet/ringfleet/internal/fault"
	"github.com/ringfleet/ringfleet/internal/outcomes"
	"github.com/ringfleet/ringfleet/invitation"
	"github.com/ringfleet/ringfleet/messages/apipb"
)

// The sizes of a page.
const (
	MaxPage     = 100
	defaultPage = 50
)

func pageSize(asked uint32) int {
	if asked == 0 {
		return defaultPage
	}
	return int(min(asked, MaxPage))
}

// token is a kind of page tokens: where a list goes on, in a form that tells nobody what it means. What may stand
// there is checked: a token is no secret, and anybody can make one.
type token byte

const (
	invitationToken token = 1
	outcomeToken    token = 2
)

const tokenSize = 1 + 8 + len(invitation.ID{})

// make returns the token of a place: the id that was told last, and when it ended.
func (t token) make(id invitation.ID, ended int64) string {
	b := append(make([]byte, 0, tokenSize), byte(t))
	b = append(binary.BigEndian.AppendUint64(b, uint64(ended)), id[:]...)
	return base64.RawURLEncoding.EncodeToString(b)
}

func (t token) point(text string) (outcomes.Point, error) {
	if text == "" {
		return outcomes.Point{}, nil
	}
	b, err := base64.RawURLEncoding.Strict().DecodeString(text)
	if err != nil || len(b) != tokenSize || b[0] != byte(t) {
		return outcomes.Point{}, fault.Call(invitation.InvalidArgument, "page_token: want the next_page_token of the page before")
	}
	return outcomes.Point{Ended: int64(binary.BigEndian.Uint64(b[1:9])), ID: invitation.ID(b[9:])}, nil
}

func (t token) id(text string) (invitation.ID, error) {
	p, err := t.point(text)
	return p.ID, err
}

func last(of []*apipb.UserInvitation) invitation.ID {
	id, err := invitation.ParseID(of[len(of)-1].GetInvitation().GetId())
	if err != nil {
		panic("desk: an invitation has an id that is none: " + err.Error()) // it was made from one
	}
	return id
}
