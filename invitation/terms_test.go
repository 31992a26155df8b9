package invitation_test

import (
	"strings"
	"testing"
	"time"

	"github.com/ringfleet/ringfleet/invitation"
)

func TestDefaultTimers(t *testing.T) {
	want := invitation.Timers{
		NoResponse: 30 * time.Second, Expire: 60 * time.Second, AcceptWindow: 15 * time.Second, Grace: 30 * time.Second,
		Linger: 5 * time.Minute,
	}
	if invitation.DefaultTimers != want {
		t.Errorf("the default timers are %+v", invitation.DefaultTimers)
	}
}

// timerFields sets each of the timers alone.
var timerFields = map[string]func(*invitation.Timers, time.Duration){
	"no response":   func(t *invitation.Timers, d time.Duration) { t.NoResponse = d },
	"expire":        func(t *invitation.Timers, d time.Duration) { t.Expire = d },
	"accept window": func(t *invitation.Timers, d time.Duration) { t.AcceptWindow = d },
	"grace":         func(t *invitation.Timers, d time.Duration) { t.Grace = d },
	"linger":        func(t *invitation.Timers, d time.Duration) { t.Linger = d },
}

func TestTimersInBounds(t *testing.T) {
	for d, want := range map[time.Duration]bool{
		0:                            true, // the deployment's
		time.Second - 1:              false,
		time.Second:                  true,
		10 * time.Minute:             true,
		10*time.Minute + 1:           false,
		-time.Second:                 false,
		-1:                           false,
		1:                            false,
		time.Duration(1<<63 - 1):     false,
		-time.Duration(1<<63 - 1):    false,
		90 * time.Second:             true,
		time.Hour:                    false,
		invitation.MaxTimer - 1:      true,
		invitation.MinTimer + 1:      true,
		24 * 365 * 100 * 3_600 * 1e9: false,
	} {
		for name, set := range timerFields {
			var timers invitation.Timers
			set(&timers, d)
			if timers.InBounds() != want {
				t.Errorf("%s of %s in bounds: %v", name, d, !want)
			}
		}
	}
	if !invitation.DefaultTimers.InBounds() {
		t.Error("the defaults are out of bounds")
	}
}

func TestTimersOr(t *testing.T) {
	if got := (invitation.Timers{}).Or(invitation.DefaultTimers); got != invitation.DefaultTimers {
		t.Errorf("zero timers stand for %+v", got)
	}
	for name, set := range timerFields {
		var timers invitation.Timers
		set(&timers, 7*time.Second)
		want := invitation.DefaultTimers
		set(&want, 7*time.Second)
		if got := timers.Or(invitation.DefaultTimers); got != want {
			t.Errorf("%s alone: %+v", name, got)
		}
	}
}

func TestTime(t *testing.T) {
	a := invitation.Time(1000)
	if b := a.Add(time.Second); b != 1_000_001_000 || b.Sub(a) != time.Second || a.Sub(b) != -time.Second {
		t.Errorf("%d and a second is %d", a, b)
	}
	for _, c := range [][3]invitation.Time{{0, 0, 0}, {0, 5, 5}, {5, 0, 5}, {3, 5, 3}, {5, 3, 3}, {4, 4, 4}} {
		if got := invitation.Earliest(c[0], c[1]); got != c[2] {
			t.Errorf("the earliest of %d and %d is %d", c[0], c[1], got)
		}
	}
}

func TestTermsCheck(t *testing.T) {
	good := invitation.Terms{Caller: "alice", Callee: "bob", Content: "hello", ChannelID: "room"}
	for name, c := range map[string]struct {
		change func(*invitation.Terms)
		want   invitation.CallError
	}{
		"as it is":              {func(*invitation.Terms) {}, invitation.OK},
		"nothing optional":      {func(x *invitation.Terms) { x.Content, x.ChannelID = "", "" }, invitation.OK},
		"no callee":             {func(x *invitation.Terms) { x.Callee = "" }, invitation.InvalidArgument},
		"bad callee":            {func(x *invitation.Terms) { x.Callee = "bo/b" }, invitation.InvalidArgument},
		"callee of 64":          {func(x *invitation.Terms) { x.Callee = invitation.User(strings.Repeat("b", 64)) }, invitation.OK},
		"callee of 65":          {func(x *invitation.Terms) { x.Callee = invitation.User(strings.Repeat("b", 65)) }, invitation.InvalidArgument},
		"oneself":               {func(x *invitation.Terms) { x.Callee = x.Caller }, invitation.InvalidArgument},
		"content of 8,192":      {func(x *invitation.Terms) { x.Content = strings.Repeat("c", 8192) }, invitation.OK},
		"content of 8,193":      {func(x *invitation.Terms) { x.Content = strings.Repeat("c", 8193) }, invitation.InvalidArgument},
		"8,192 bytes of é":      {func(x *invitation.Terms) { x.Content = strings.Repeat("é", 4096) }, invitation.OK},
		"8,194 bytes of é":      {func(x *invitation.Terms) { x.Content = strings.Repeat("é", 4097) }, invitation.InvalidArgument},
		"content not UTF-8":     {func(x *invitation.Terms) { x.Content = "a\xffb" }, invitation.InvalidArgument},
		"content cut":           {func(x *invitation.Terms) { x.Content = "a\xc3" }, invitation.InvalidArgument},
		"content with a zero":   {func(x *invitation.Terms) { x.Content = "a\x00b" }, invitation.OK},
		"surrogate":             {func(x *invitation.Terms) { x.Content = "\xed\xa0\x80" }, invitation.InvalidArgument},
		"channel of 64":         {func(x *invitation.Terms) { x.ChannelID = strings.Repeat("c", 64) }, invitation.OK},
		"channel of 65":         {func(x *invitation.Terms) { x.ChannelID = strings.Repeat("c", 65) }, invitation.InvalidArgument},
		"channel not UTF-8":     {func(x *invitation.Terms) { x.ChannelID = "\x80" }, invitation.InvalidArgument},
		"channel in any script": {func(x *invitation.Terms) { x.ChannelID = "会议室" }, invitation.OK},
		"timers in bounds":      {func(x *invitation.Terms) { x.Timers.Expire = time.Second }, invitation.OK},
		"a timer too short":     {func(x *invitation.Terms) { x.Timers.Grace = time.Millisecond }, invitation.InvalidArgument},
		"a timer too long":      {func(x *invitation.Terms) { x.Timers.Linger = time.Hour }, invitation.InvalidArgument},
	} {
		terms := good
		c.change(&terms)
		if got := terms.Check(); got != c.want {
			t.Errorf("%s: %s, want %s", name, got, c.want)
		}
	}
}

func TestLimits(t *testing.T) {
	got := [...]int{
		invitation.MaxUser, invitation.MaxDevice, invitation.MaxKey, invitation.MaxContent, invitation.MaxResponse, invitation.MaxChannel,
		invitation.Shards,
	}
	if want := [...]int{64, 64, 64, 8192, 8192, 64, 4096}; got != want {
		t.Errorf("the limits are %v, the contract's %v", got, want)
	}
}
