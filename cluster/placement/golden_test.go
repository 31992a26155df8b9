package placement_test

import (
	"errors"
	"flag"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/ringfleet/ringfleet/invitation"
)

var writeGolden = flag.Bool("write-golden", false, "write the golden files that do not exist; none is ever changed")

// TestGoldenOwners compares the owners with those that a release gave its nodes: while it rolls
// through a cluster, old and new binaries must agree. The files are added, never edited. A file is the
// members in ascending order, then 64 lines of 64 letters: the owner of shard 0, 1, 2 …, "a" for the
// first member.
func TestGoldenOwners(t *testing.T) {
	for name, members := range map[string][]string{
		"one":   {"node-0"},
		"three": pods("node", 3),
		"five":  pods("ringfleet", 5),
		"mixed": {"node-0", "node-2", "10.0.0.7:7947", "ä", "a rather long name.with.dots.svc.cluster.local"},
		"many":  pods("node", 26),
	} {
		t.Run(name, func(t *testing.T) {
			made := table(t, members...)
			text := strings.Join(made.Members(), "\n") + "\n"
			for shard := range invitation.Shard(invitation.Shards) {
				i, _ := made.Index(shard)
				text += string(rune('a' + i))
				if shard%64 == 63 {
					text += "\n"
				}
			}
			file := filepath.Join("testdata", "owners_"+name+".txt")
			want, err := os.ReadFile(file)
			if errors.Is(err, fs.ErrNotExist) && *writeGolden {
				want, err = []byte(text), os.WriteFile(file, []byte(text), 0o644)
			}
			if err != nil {
				t.Fatal(err)
			}
			if text != string(want) {
				t.Errorf("the owners differ from %s: nodes of two versions would not agree", file)
			}
		})
	}
}
