package invitation_test

import (
	"testing"
	"time"

	"github.com/ringfleet/ringfleet/invitation"
	"github.com/ringfleet/ringfleet/invitation/session"
)

// TestOlder holds that what has waited tells what remains now, that a time that is over is not told as one that is
// not known, and that nothing is changed that others may hold.
func TestOlder(t *testing.T) {
	for _, tt := range []struct{ remaining, by, want time.Duration }{
		{0, time.Second, 0},
		{30 * time.Second, time.Second, 29 * time.Second},
		{time.Second, time.Minute, time.Microsecond},
		{time.Nanosecond, time.Minute, time.Nanosecond},
	} {
		if got := invitation.Older(tt.remaining, tt.by); got != tt.want {
			t.Errorf("%v that waited %v: %v remain, want %v", tt.remaining, tt.by, got, tt.want)
		}
	}
	resumed := &invitation.Resumed{Remaining: 30 * time.Second}
	word := &invitation.Word{Remaining: 20 * time.Second}
	login := &invitation.Login{Words: []invitation.Word{{Remaining: 10 * time.Second}}}
	m := invitation.Message{Remaining: 5 * time.Second, Resumed: resumed}
	m.Older(time.Second)
	in := session.Input{Call: &invitation.Call{Resumed: resumed}, Word: word, Login: login}
	in.Older(time.Second)
	got := [...]time.Duration{m.Remaining, m.Resumed.Remaining, in.Call.Resumed.Remaining, in.Word.Remaining, in.Login.Words[0].Remaining}
	want := [...]time.Duration{4 * time.Second, 29 * time.Second, 29 * time.Second, 19 * time.Second, 9 * time.Second}
	if got != want {
		t.Errorf("after a second: %v, want %v", got, want)
	}
	if resumed.Remaining != 30*time.Second || word.Remaining != 20*time.Second || login.Words[0].Remaining != 10*time.Second {
		t.Errorf("what others hold has changed: %v %v %v", resumed.Remaining, word.Remaining, login.Words[0].Remaining)
	}
	var none session.Input
	none.Older(time.Second)
}
