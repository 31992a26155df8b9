package explore

import (
	"strings"
	"testing"
)

// TestAlikeBites shows that a field which something depends on is not taken for one that does not matter.
func TestAlikeBites(t *testing.T) {
	for _, wrong := range []likeness{
		{fields: []string{"cancelID"}, values: []uint64{0, 2}},     // a cancel that comes twice is answered by it
		{fields: []string{"sendID"}, values: []uint64{0, 1}},       // the send is answered with it
		{fields: []string{"view.Version"}, values: []uint64{1, 2}}, // it has others, too
	} {
		e := newSearch(Named("one-brief", 0, 1, 0), 1_000_000)
		e.alike[0] = &wrong
		if found := panics(e.run); !strings.Contains(found, "explore: ") {
			t.Errorf("arbiters that differ in %v are taken for alike: %v %s", wrong.fields, e.result, found)
		} else {
			t.Log(found)
		}
	}
}

// panics returns what f panics with, "" if it does not.
func panics(f func()) (with string) {
	defer func() {
		if s, ok := recover().(string); ok {
			with = s
		}
	}()
	f()
	return ""
}
