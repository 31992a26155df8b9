package e2e

import (
	"os"
	"runtime"
	"testing"
	"time"

	"github.com/ringfleet/ringfleet"
	"github.com/ringfleet/ringfleet/invitation"
	"github.com/ringfleet/ringfleet/invitation/session"
)

// quick are timers with which an invitation that is left alone is soon forgotten.
var quick = session.Config{Timers: invitation.Timers{
	NoResponse: time.Second, Expire: time.Second, AcceptWindow: time.Second, Grace: time.Second, Linger: time.Second,
}}

// run is t.Run for a part of a test, after which the node must serve.
func (w *world) run(name string, f func(t *testing.T)) {
	outer := w.t
	defer func() { w.t = outer }()
	outer.Run(name, func(t *testing.T) {
		w.t = t
		f(t)
		w.wholeCall("next-a", "next-b")
	})
}

// health is what a node holds: what it must hold no more of when its clients are gone.
type health struct {
	goroutines, files int
}

// healthOf returns what a node holds that has served a call. Its timers are quick.
func healthOf(w *world) health {
	w.t.Helper()
	w.wholeCall("before-a", "before-b")
	w.empties()
	return health{runtime.NumGoroutine(), openFiles(w.t)}
}

// unharmed shows that a node serves, and holds what it held before.
func (h health) unharmed(w *world) {
	w.t.Helper()
	w.wholeCall("after-a", "after-b")
	w.empties()
	w.eventually("goroutines end", func() bool { return runtime.NumGoroutine() <= h.goroutines+5 })
	w.eventually("files are closed", func() bool { return openFiles(w.t) <= h.files+5 })
	if n := w.metric("ringfleet_gateway_panics_total", ""); n != 0 {
		w.t.Errorf("%v panics", n)
	}
}

// empties waits until no connection, session or invitation is left.
func (w *world) empties() {
	w.t.Helper()
	for _, name := range []string{
		"ringfleet_gateway_connections", "ringfleet_gateway_connections_pending", "ringfleet_gateway_buffered_bytes",
	} {
		w.eventually(name+" is 0", func() bool { return w.metric(name, "") == 0 })
	}
	w.eventually("the actors leave", func() bool {
		s := w.node.Status()
		live := s.Sessions
		for _, n := range s.Invitations {
			live += int(n)
		}
		return live == 0
	})
}

// eventually polls, while there is patience.
func (w *world) eventually(what string, is func() bool) {
	w.t.Helper()
	deadline := time.NewTimer(w.patience)
	defer deadline.Stop()
	again := time.NewTicker(10 * time.Millisecond)
	defer again.Stop()
	for !is() {
		select {
		case <-again.C:
		case <-deadline.C:
			w.t.Fatalf("not in %v: %s; the node is at %+v with %d goroutines", w.patience, what, w.node.Status(), runtime.NumGoroutine())
		}
	}
}

// metric returns the value of a counter or gauge, of the series with the label value.
func (w *world) metric(name, label string) float64 {
	w.t.Helper()
	return metricOf(w.t, w.node, name, label)
}

func metricOf(t *testing.T, node *ringfleet.Node, name, label string) float64 {
	t.Helper()
	families, err := node.Registry().Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			if f.GetName() != name || label != "" && (len(m.GetLabel()) == 0 || m.GetLabel()[0].GetValue() != label) {
				continue
			}
			return m.GetCounter().GetValue() + m.GetGauge().GetValue()
		}
	}
	t.Fatalf("there is no metric %s %s", name, label)
	return 0
}

// openFiles counts the open files of this process, where the system tells.
func openFiles(t *testing.T) int {
	t.Helper()
	files, err := os.ReadDir("/proc/self/fd")
	if err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	return len(files)
}
