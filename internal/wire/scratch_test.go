package wire

import (
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/ringfleet/ringfleet/invitation"
)

// TestReleaseKeepsNothing: the pool outlives connections, and is not to hold what users said.
func TestReleaseKeepsNothing(t *testing.T) {
	s := scratches.New().(*scratch)
	local := invitation.Notice{Side: invitation.Caller, Peer: "bob", Response: "secret"}
	remote := invitation.Notice{Side: invitation.Callee, Peer: "alice", Content: "secret"}
	s.setNotice(&local, time.Now())
	s.setNotice(&remote, time.Now())
	s.setAnswer(&invitation.Answer{RequestID: 1, Notice: &local}, time.Now())
	s.setAnswer(&invitation.Answer{RequestID: 1, Notice: &remote}, time.Now())
	s.release()
	for _, m := range []proto.Message{&s.local, &s.remote, &s.answer, &s.frame} {
		if !proto.Equal(m, m.ProtoReflect().New().Interface()) {
			t.Errorf("%s is kept as %v", m.ProtoReflect().Descriptor().Name(), m)
		}
	}
	if s.localFrame.Local != &s.local || s.remoteFrame.Remote != &s.remote || s.answerFrame.Answer != &s.answer {
		t.Error("the frames have lost their messages")
	}
}
