package invitation_test

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"github.com/ringfleet/ringfleet/invitation"
)

// longest is the longest user id, device id or send key.
var longest = strings.Repeat("z", 64)

// The golden ids and shards are part of the contract between nodes: a change of any of them breaks
// every live invitation during an upgrade. Add lines, never edit one.
var goldenIDs = []struct {
	caller invitation.User
	device invitation.Device
	key    string
	shard  invitation.Shard
	id     string
}{
	{"alice", "phone", "k", 2292, "13qbliacib1dfh7kl2vt8av5p0"},
	{"bob", "phone", "k", 2784, "1bg8kqbv613naqmg4truqfl2ko"},
	{"alice", "tablet", "k", 2292, "13q4llvo1i8nf606sadi12qrbg"},
	{"alice", "phone", "k2", 2292, "13qb12hfricblf841qbdguh0k4"},
	{"a", "b", "c", 3675, "1pduf9pd2sr12olmfmq71k7ddo"},
	{invitation.User(longest), invitation.Device(longest), longest, 1780, "0rq52fbnk3iicnafl9o5npqddc"},
	{"user 1 !#$%&()+-:;<=.>?@[]^_{}|~,", "d", "key", 689, "0aorn1euhpvi3cmonhida1661g"},
}

func TestIDGolden(t *testing.T) {
	for _, g := range goldenIDs {
		id := invitation.NewID(g.caller, g.device, g.key)
		if id.String() != g.id || id.Shard() != g.shard || invitation.ShardOf(g.caller) != g.shard {
			t.Errorf("NewID(%q, %q, %q) = %s of shard %d, want %s of shard %d", g.caller, g.device, g.key, id, id.Shard(), g.id, g.shard)
		}
		parsed, err := invitation.ParseID(g.id)
		if err != nil || parsed != id {
			t.Errorf("ParseID(%s) = %v, %v", g.id, parsed, err)
		}
	}
}

// TestIDsDiffer moves a byte from each field to the next: the lengths keep them apart.
func TestIDsDiffer(t *testing.T) {
	seen := map[invitation.ID]string{}
	for _, f := range []struct {
		caller invitation.User
		device invitation.Device
		key    string
	}{
		{"ab", "c", "d"},
		{"a", "bc", "d"},
		{"a", "b", "cd"},
		{"abc", "d", "e"},
		{"a", "bcd", "e"},
		{"a", "b", "c"},
		{"ab", "c", "e"},
		{"ab", "d", "d"},
		{"abd", "c", "d"},
	} {
		id, name := invitation.NewID(f.caller, f.device, f.key), string(f.caller)+"/"+string(f.device)+"/"+f.key
		if other, ok := seen[id]; ok {
			t.Errorf("%s and %s have the same id", name, other)
		}
		seen[id] = name
	}
}

func TestNewIDDoesNotAllocate(t *testing.T) {
	if n := testing.AllocsPerRun(100, func() {
		invitation.NewID(invitation.User(longest), invitation.Device(longest), longest)
	}); n != 0 {
		t.Errorf("NewID allocates %v times", n)
	}
}

func TestParseIDIsStrict(t *testing.T) {
	good := goldenIDs[0].id
	for name, text := range map[string]string{
		"empty":              "",
		"short":              good[:25],
		"long":               good + "0",
		"upper case":         strings.ToUpper(good),
		"not of alphabet":    good[:25] + "w",
		"padded":             good[:25] + "=",
		"line break":         good[:12] + "\n" + good[13:],
		"carriage return":    good[:25] + "\r",
		"28 with line break": good[:13] + "\r\n" + good[13:],
		"shard of 4,096":     "2000" + good[4:],
		"greatest shard":     "vvvv" + good[4:],
		"trailing bits":      good[:25] + string(good[25]+1),
		"not ASCII":          good[:24] + "é",
		"space":              " " + good[1:],
		"zero byte":          "\x00" + good[1:],
		"with its name":      "id:" + good,
		"with a byte before": "0" + good,
	} {
		if id, err := invitation.ParseID(text); !errors.Is(err, invitation.ErrBadID) || !id.IsZero() {
			t.Errorf("%s: ParseID(%q) = %v, %v", name, text, id, err)
		}
	}
	zero, err := invitation.ParseID(strings.Repeat("0", invitation.IDLength))
	if err != nil || !zero.IsZero() {
		t.Errorf("the zero id: %v, %v", zero, err)
	}
}

func FuzzParseID(f *testing.F) {
	for _, g := range goldenIDs {
		f.Add(g.id)
	}
	f.Add("")
	f.Add(strings.Repeat("v", invitation.IDLength))
	f.Add(strings.Repeat("0", invitation.IDLength-2) + "\r\n")
	f.Fuzz(func(t *testing.T, text string) {
		id, err := invitation.ParseID(text)
		switch {
		case err != nil && !id.IsZero():
			t.Errorf("ParseID(%q) = %v and an error", text, id)
		case err == nil && id.String() != text:
			t.Errorf("ParseID(%q) prints as %s", text, id)
		case err == nil && id.Shard() >= invitation.Shards:
			t.Errorf("ParseID(%q) has shard %d", text, id.Shard())
		}
	})
}

// TestShardsSpread counts users whose ids differ in their last digits only, as numbered accounts do.
func TestShardsSpread(t *testing.T) {
	const users = 100 * invitation.Shards
	for _, form := range []string{"user-", "+1555", "a"} {
		var counts [invitation.Shards]int
		for i := range users {
			counts[invitation.ShardOf(invitation.User(form+decimal(i)))]++
		}
		// Of a fair hash a shard has 100 ± 10; six deviations leave one chance in 10^6 for any of them.
		for s, n := range counts {
			if n < 40 || n > 160 {
				t.Errorf("%s: shard %d has %d users of an average of 100", form, s, n)
			}
		}
	}
}

func decimal(i int) string {
	const digits = "0123456789"
	b := []byte("0000000")
	for p := len(b) - 1; i > 0; p, i = p-1, i/10 {
		b[p] = digits[i%10]
	}
	return string(b)
}

func TestUsersAndDevices(t *testing.T) {
	const allowed = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789 !#$%&()+-:;<=.>?@[]^_{}|~,"
	for c := range 256 {
		text, want := string([]byte{byte(c)}), strings.IndexByte(allowed, byte(c)) >= 0
		if u, d, k := invitation.User(text).Valid(), invitation.Device(text).Valid(), invitation.ValidKey(text); u != want || d != want || k != want {
			t.Errorf("byte %#x: user %v, device %v, key %v, want %v", c, u, d, k, want)
		}
	}
	for length, want := range map[int]bool{0: false, 1: true, 63: true, 64: true, 65: false, 1000: false} {
		text := strings.Repeat("u", length)
		if u, d, k := invitation.User(text).Valid(), invitation.Device(text).Valid(), invitation.ValidKey(text); u != want || d != want || k != want {
			t.Errorf("%d bytes: user %v, device %v, key %v, want %v", length, u, d, k, want)
		}
	}
	for _, text := range []string{"bob\n", "bo/b", `bo\b`, "bo'b", `bo"b`, "bo*b", "bo`b", "bób", "bob\x7f"} {
		if invitation.User(text).Valid() {
			t.Errorf("%q is a user id", text)
		}
	}
}

// TestIDOrder: ids are in the order of their bytes and of their text forms.
func TestIDOrder(t *testing.T) {
	middle := invitation.ID{3: 7, 4: 0x80, 7: 0x80, 8: 0x80, 15: 0x80}
	for at := range middle {
		for _, value := range []byte{0, 0x7f, 0x80, 0xff} {
			other := middle
			other[at] = value
			want := strings.Compare(middle.String(), other.String())
			if bytes.Compare(middle[:], other[:]) != want || middle.Compare(other) != want || other.Compare(middle) != -want {
				t.Errorf("%s is compared with %s as %d and %d, want %d", middle, other, middle.Compare(other), other.Compare(middle), want)
			}
		}
	}
}
