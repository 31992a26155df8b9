package ringfleet_test

import (
	"fmt"
	"go/ast"
	"slices"
	"strings"
	"testing"
)

// The import rules of this repository: who may know whom, and why (docs/adr/0001-pure-core.md). The
// rules are read from the source files rather than asked of the go command, so that Go's test cache
// sees every file that a result depends on.

// A rule is about the files of some packages, tests apart. A package is written as a path from the
// root of the repository, "./gateway"; the root is "."; "/..." adds the packages below. "std" is the
// standard library, "others" all other modules.
type rule struct {
	in     []string // the packages that the rule binds
	except []string // packages or files that it does not
	only   []string // if set: what they may import, directly
	never  []string // what they may not reach, through other packages of this module either
	reason string
	bites  sample // an import that breaks the rule, to show that it does
}

type sample struct{ file, imports string }

const (
	protoactor = "github.com/asynkron/protoactor-go/..."
	memberlist = "github.com/hashicorp/memberlist/..."
)

// serverSide is what no client may know.
var serverSide = []string{
	".", "./actors/...", "./cluster/...", "./gateway/...", "./invitation/arbiter", "./invitation/session",
	"./messages/peerpb", protoactor, memberlist,
}

var rules = []rule{
	{
		in: []string{"./invitation/...", "./cluster/placement"},
		only: []string{
			"./invitation/...", "cmp", "crypto/sha256", "encoding/...", "errors", "fmt", "iter", "maps", "math/bits",
			"slices", "sort", "strconv", "strings", "time", "unicode/utf8",
		},
		reason: "the core is pure: the explorer and the simulator can drive the very code that runs in production only " +
			"while it has no clock, goroutine, lock, socket, actor or generated type",
		bites: sample{"invitation/arbiter/step.go", "github.com/ringfleet/ringfleet/messages/clientpb"},
	},
	{
		in:    []string{"./invitation/device"},
		never: []string{"./invitation/arbiter", "./invitation/session"},
		reason: "a device and the server know each other by the messages of package invitation only: whatever a device " +
			"learnt another way, a client in another language could not",
		bites: sample{"invitation/device/local.go", "github.com/ringfleet/ringfleet/invitation/session"},
	},
	{
		in:    []string{"./invitation/session", "./invitation/arbiter"},
		never: []string{"./invitation/device"},
		reason: "the server's machines believe a device's words, not its insides; a client that is not ours " +
			"must get the same treatment",
		bites: sample{"invitation/session/step.go", "github.com/ringfleet/ringfleet/invitation/device"},
	},
	{
		in:    []string{"./actors/..."},
		never: []string{memberlist, "./gateway/...", "./cluster/...", "./client/...", "./messages/clientpb", "net", "net/http", "."},
		reason: "an actor gives a machine its mailbox and its timer; who is in the cluster, and how a message or a user " +
			"gets here, is behind the ports that package actors defines",
		bites: sample{"actors/session.go", "github.com/hashicorp/memberlist"},
	},
	{
		in: []string{"./cluster/..."},
		never: []string{
			"./invitation/arbiter", "./invitation/session", "./invitation/device", "./actors", "./gateway/...", "./client/...",
			"./messages/clientpb", ".",
		},
		reason: "the cluster finds the owner of a shard and carries envelopes; of invitations it knows ids and shards, " +
			"or it could not be tested and reasoned about alone",
		bites: sample{"cluster/router.go", "github.com/ringfleet/ringfleet/invitation/session"},
	},
	{
		in:     []string{"./..."},
		except: []string{"./cluster/membership"},
		only:   []string{"std", "others", "./...", "!" + memberlist},
		reason: "membership is where gossip becomes an immutable view; behind it nobody depends on which library gossips",
		bites:  sample{"cluster/router.go", "github.com/hashicorp/memberlist"},
	},
	{
		in: []string{"./gateway/..."},
		never: []string{
			protoactor, memberlist, "./actors/...", "./cluster/...", "./client/...", "./messages/peerpb", "./invitation/arbiter",
			"./invitation/session", "./invitation/device", ".",
		},
		reason: "the gateway turns sockets into calls of its Backend port; it can be tested without an actor, and in-process " +
			"sessions can do without it",
		bites: sample{"gateway/conn.go", "github.com/asynkron/protoactor-go/actor"},
	},
	{
		in: []string{"./events/..."},
		only: []string{
			"std", "./events/...", "./invitation", "./invitation/snapshot", "github.com/prometheus/client_golang/prometheus",
			"github.com/nats-io/nats.go/...",
		},
		reason: "a receiver in Go links this package to verify what it gets; the node gives it what happens, and the cluster, through ports",
		bites:  sample{"events/stream.go", "github.com/ringfleet/ringfleet/actors"},
	},
	{
		in: []string{"./client/..."},
		only: []string{
			"std", "others", "./client/...", "./invitation", "./invitation/device", "./internal/wire", "./messages/clientpb",
		},
		reason: "the SDK stands for every client: what it needs must be in the public protocol",
		bites:  sample{"client/client.go", "github.com/ringfleet/ringfleet/internal/explore"},
	},
	{
		in:     []string{"./client/...", "./internal/wire"},
		never:  serverSide,
		reason: "a program that only rings must not link the server",
		bites:  sample{"client/client.go", "github.com/ringfleet/ringfleet/gateway"},
	},
	{
		in:     []string{"./internal/wire"},
		only:   []string{"std", "google.golang.org/protobuf/...", "./invitation", "./messages/clientpb"},
		reason: "the codec is shared by both ends and may not drag one end into the other",
		bites:  sample{"internal/wire/codec.go", "github.com/ringfleet/ringfleet/invitation/device"},
	},
	{
		in:     []string{"./loadtest/..."},
		except: []string{"loadtest/selfhost.go"},
		never:  serverSide,
		reason: "the load generator sees what a client sees, so it cannot cheat; only the file behind --self-host " +
			"starts a node",
		bites: sample{"loadtest/run.go", "github.com/ringfleet/ringfleet"},
	},
	{
		in:    []string{"./internal/explore", "./internal/sim", "./internal/judge", "./internal/phone"},
		never: []string{"./actors/...", "./gateway/...", "./client/...", "net", "net/http", "os/exec", protoactor, memberlist, "."},
		reason: "the explorer and the simulator decide everything that happens in their worlds, so that a run can be " +
			"repeated; no goroutine or socket may decide with them",
		bites: sample{"internal/explore/world.go", "github.com/ringfleet/ringfleet/actors"},
	},
	{
		in:     []string{"./messages/..."},
		except: []string{"./messages/apipb/apipbconnect"}, // clients and handlers: generated to be served
		only:   []string{"std", "google.golang.org/protobuf/...", "./messages/clientpb"},
		reason: "messages are data; conversions live in internal/wire and with the link",
		bites:  sample{"messages/clientpb/more.go", "github.com/ringfleet/ringfleet/invitation"},
	},
	{
		in:     []string{"./api"},
		never:  []string{"./gateway", "./cluster/membership", "./cluster/handoff", "./cluster/link", "."},
		reason: "the API decides who may ask, and leaves to its Backend where the answer is; it can be tested without a node",
		bites:  sample{"api/server.go", "github.com/ringfleet/ringfleet"},
	},
	{
		in:     []string{"./examples/..."},
		only:   []string{"std", "others", ".", "./client/...", "./events", "./gateway/auth", "./invitation", "./examples/..."},
		reason: "an example shows an embedder what an embedder can import",
		bites:  sample{"examples/embed/main.go", "github.com/ringfleet/ringfleet/gateway"},
	},
	{
		in:     []string{".", "./cmd/..."},
		never:  []string{"testing", "pgregory.net/rapid", "./internal/explore", "./internal/sim", "./loadtest/..."},
		reason: "what runs in production links no test code",
		bites:  sample{"node.go", "testing"},
	},
}

func TestImportRules(t *testing.T) {
	files := repository(t)
	for _, r := range rules {
		for _, breach := range r.breaches(files) {
			t.Errorf("%s\n\tthe rule: %s", breach, r.reason)
		}
	}
}

// TestImportRulesBind looks for what the rules are about: a rule about a package that was renamed
// protects nothing.
func TestImportRulesBind(t *testing.T) {
	files := repository(t)
	exists := func(name string) bool {
		return slices.ContainsFunc(files, func(f source) bool { return f.path == name || matches(name, f.pkg()) })
	}
	for _, r := range rules {
		for _, name := range slices.Concat(r.in, r.except) {
			if !exists(name) {
				t.Errorf("there is no %s; the rule: %s", name, r.reason)
			}
		}
	}
}

// TestImportRulesBite shows each rule an import that breaks it, and the same import of an import.
func TestImportRulesBite(t *testing.T) {
	for _, r := range rules {
		near := source{path: r.bites.file, imports: []string{r.bites.imports}}
		if len(r.breaches([]source{near})) == 0 {
			t.Errorf("%s may import %s unnoticed; the rule: %s", r.bites.file, r.bites.imports, r.reason)
		}
		if r.never == nil {
			continue // the packages between are on the list, or bound themselves
		}
		far := []source{
			{path: r.bites.file, imports: []string{module + "/internal/between"}},
			{path: "internal/between/between.go", imports: []string{r.bites.imports}},
		}
		if len(r.breaches(far)) == 0 {
			t.Errorf("%s may reach %s unnoticed; the rule: %s", r.bites.file, r.bites.imports, r.reason)
		}
	}
}

// binds reports whether the rule is about file.
func (r rule) binds(file source) bool {
	return !file.test && matchesAny(r.in, file.pkg()) &&
		!matchesAny(r.except, file.pkg()) && !slices.Contains(r.except, file.path)
}

// breaches lists the imports that break the rule, each with the way there.
func (r rule) breaches(files []source) []string {
	imports := map[string][]string{} // by package, of the files that the rule does not except
	for _, f := range files {
		if !f.test && !slices.Contains(r.except, f.path) {
			imports[f.pkg()] = append(imports[f.pkg()], f.imported()...)
		}
	}
	var found []string
	for _, f := range files {
		if !r.binds(f) {
			continue
		}
		for _, imported := range f.imported() {
			if r.only != nil && !allowed(r.only, imported) {
				found = append(found, fmt.Sprintf("%s imports %s", f.path, imported))
			}
			if way := reach(imports, r.never, imported, nil); way != nil {
				found = append(found, fmt.Sprintf("%s imports %s", f.path, strings.Join(way, ", which imports ")))
			}
		}
	}
	return found
}

// reach returns the shortest-found way from an import to one of the forbidden, nil when there is none.
func reach(imports map[string][]string, forbidden []string, from string, way []string) []string {
	if slices.Contains(way, from) {
		return nil
	}
	way = append(slices.Clone(way), from)
	if matchesAny(forbidden, from) {
		return way
	}
	for _, next := range imports[from] {
		if found := reach(imports, forbidden, next, way); found != nil {
			return found
		}
	}
	return nil
}

// allowed reports whether imported is on the list; an entry that starts with "!" takes away from it.
func allowed(list []string, imported string) bool {
	ok := false
	for _, pattern := range list {
		if no, found := strings.CutPrefix(pattern, "!"); found {
			ok = ok && !matches(no, imported)
		} else {
			ok = ok || matches(pattern, imported)
		}
	}
	return ok
}

func matchesAny(patterns []string, path string) bool {
	return slices.ContainsFunc(patterns, func(p string) bool { return matches(p, path) })
}

func matches(pattern, path string) bool {
	ours := path == "." || strings.HasPrefix(path, "./")
	first, _, _ := strings.Cut(path, "/")
	switch pattern {
	case "std":
		return !ours && !strings.Contains(first, ".")
	case "others":
		return !ours && strings.Contains(first, ".")
	case "./...":
		return ours
	}
	if parent, below := strings.CutSuffix(pattern, "/..."); below {
		return path == parent || strings.HasPrefix(path, parent+"/")
	}
	return path == pattern
}

// pure is where [TestPure] looks.
var pure = []string{"./invitation/...", "./cluster/placement"}

// timeWords are the words of package time that tell no time.
var timeWords = []string{
	"Duration", "Nanosecond", "Microsecond", "Millisecond", "Second", "Minute", "Hour", "ParseDuration",
}

// TestPure finds what an import list cannot show: a look at the clock, a goroutine, a channel.
func TestPure(t *testing.T) {
	for _, f := range repository(t) {
		if f.test || !matchesAny(pure, f.pkg()) {
			continue
		}
		for _, impurity := range impurities(f.ast) {
			t.Errorf("%s: %s in a pure package; what a machine wants done it returns, and time is an argument", f.path, impurity)
		}
	}
}

func TestPureBites(t *testing.T) {
	for _, body := range []string{
		"_ = time.Now()", "go f()", "var c chan int", "select {}", "println()", "c <- 1", "<-c", "t := time.NewTimer",
	} {
		f := parse(t, "invitation/x.go", "package p\nfunc f() {\n"+body+"\n}\n")
		if len(impurities(f.ast)) == 0 {
			t.Errorf("%q goes unnoticed", body)
		}
	}
}

func impurities(file *ast.File) []string {
	var found []string
	ast.Inspect(file, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.GoStmt:
			found = append(found, "a goroutine")
		case *ast.SelectStmt, *ast.ChanType, *ast.SendStmt:
			found = append(found, "a channel")
		case *ast.UnaryExpr:
			if n.Op.String() == "<-" {
				found = append(found, "a channel")
			}
		case *ast.CallExpr:
			if id, ok := n.Fun.(*ast.Ident); ok && (id.Name == "print" || id.Name == "println") {
				found = append(found, id.Name)
			}
		case *ast.SelectorExpr:
			if id, ok := n.X.(*ast.Ident); ok && id.Name == "time" && !slices.Contains(timeWords, n.Sel.Name) {
				found = append(found, "time."+n.Sel.Name)
			}
			if id, ok := n.X.(*ast.Ident); ok && id.Name == "fmt" && strings.HasPrefix(n.Sel.Name, "Print") {
				found = append(found, "fmt."+n.Sel.Name)
			}
		}
		return true
	})
	return found
}
