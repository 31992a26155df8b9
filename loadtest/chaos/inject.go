package chaos

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/ringfleet/ringfleet/internal/faultproxy"
	"github.com/ringfleet/ringfleet/internal/fleet"
)

// Injector makes faults happen to a fleet. Its fields must not be changed once it is used.
type Injector struct {
	Fleet *fleet.Fleet
	Log   *Log
	// Noise is the rule between all nodes while nothing else is wrong. It needs a proxied fleet, as faults of
	// the network do.
	Noise faultproxy.Rule
	// Changed, if set, is called with a fault when it begins and when it has ended, before anything else happens.
	Changed func(Record)
}

// ClockFlag is the node's setting for tests by which its wall clock is wrong.
const ClockFlag = "--wall-clock-offset"

// Bounds of waits.
const (
	drainTime  = 90 * time.Second
	settleTime = 60 * time.Second

	settleAgain = time.Second
)

// link is what becomes of messages to and from a node with a bad link.
var link = faultproxy.Rule{
	Only: fleet.Peers, Delay: 10 * time.Millisecond, Jitter: 40 * time.Millisecond, Drop: 0.05, Duplicate: 0.05, Reorder: 0.05,
}

// Begin makes the links between all nodes noisy.
func (i *Injector) Begin() { i.heal() }

// heal removes all rules but the noise.
func (i *Injector) heal() {
	if i.Fleet.Proxy() == nil {
		return
	}
	i.Fleet.Heal()
	if i.Noise != (faultproxy.Rule{}) {
		i.Fleet.Proxy().Set(faultproxy.Any, faultproxy.Any, i.Noise)
	}
}

// Run injects the faults of a schedule, one after the other, until more says that there is to be no other; it is asked
// with the next one. When ctx is done, the fault that lasts is ended at once. The error says which node could not be
// started again, has ended by itself, or that the nodes did not become one cluster again.
func (i *Injector) Run(ctx context.Context, s *Schedule, more func(Fault) bool) error {
	for fault := s.Next(); more(fault); fault = s.Next() {
		if !wait(ctx, fault.Wait) {
			return nil
		}
		if err := i.Inject(ctx, fault); err != nil {
			return fmt.Errorf("%v: %w", fault, err)
		}
	}
	return nil
}

// Inject makes one fault happen, ends it, and waits until all nodes are one cluster again.
func (i *Injector) Inject(ctx context.Context, fault Fault) error {
	nodes := i.Fleet.Nodes()
	for _, n := range nodes {
		if !n.Running() {
			return fmt.Errorf("%s has ended by itself; its last lines:\n%s", n.Name(), n.Log().Tail(40))
		}
	}
	node := nodes[fault.Node]
	record := Record{Fault: fault, Node: node.Name(), Began: time.Now()}
	if fault.Kind == All {
		record.Node = ""
	}
	place := i.Log.Add(record)
	i.tell(record)
	if err := i.hurt(ctx, fault, node); err != nil {
		return err
	}
	wait(ctx, fault.Lasts)
	// Whether ctx is done or not, the node is brought back.
	if err := i.mend(context.WithoutCancel(ctx), fault, node); err != nil {
		return err
	}
	i.Log.Change(place, func(r *Record) { r.Ended = time.Now(); record = *r })
	i.tell(record)
	if err := i.settle(context.WithoutCancel(ctx)); err != nil {
		return err
	}
	i.Log.Change(place, func(r *Record) { r.Settled = time.Now() })
	return nil
}

// settle waits until all nodes are one cluster again, and still are a while later: a node may not have
// looked at its newest view the first time.
func (i *Injector) settle(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, settleTime)
	defer cancel()
	if err := i.Fleet.Settled(ctx); err != nil {
		return err
	}
	wait(ctx, settleAgain)
	return i.Fleet.Settled(ctx)
}

func (i *Injector) tell(r Record) {
	if i.Changed != nil {
		i.Changed(r)
	}
}

// hurt begins a fault.
func (i *Injector) hurt(ctx context.Context, fault Fault, node *fleet.Node) error {
	self := []*fleet.Node{node}
	others := slices.DeleteFunc(i.Fleet.Nodes(), func(n *fleet.Node) bool { return n == node })
	switch fault.Kind {
	case Kill, Crash:
		return node.Kill()
	case Drain, Clock:
		ending, cancel := context.WithTimeout(context.WithoutCancel(ctx), drainTime)
		defer cancel()
		exit, err := node.Term(ending)
		if err == nil && exit.Code != 0 {
			err = fmt.Errorf("%s ended with status %d; its last lines:\n%s", node.Name(), exit.Code, node.Log().Tail(40))
		}
		return err
	case Pause:
		return node.Pause()
	case Partition:
		i.Fleet.Partition(self, others)
	case OneWay:
		if fault.Hears {
			i.Fleet.Cut(self, others)
		} else {
			i.Fleet.Cut(others, self)
		}
	case Link:
		i.Fleet.Proxy().Set(node.Name(), faultproxy.Any, link)
		i.Fleet.Proxy().Set(faultproxy.Any, node.Name(), link)
	case All:
		return each(i.Fleet.Nodes(), (*fleet.Node).Kill)
	case kinds:
	}
	return nil
}

// mend ends a fault.
func (i *Injector) mend(ctx context.Context, fault Fault, node *fleet.Node) error {
	start := func(n *fleet.Node) error { return n.Start(ctx, fleet.StartOptions{}) }
	switch fault.Kind {
	case Kill, Crash, Drain:
		return start(node)
	case Clock:
		return node.Start(ctx, fleet.StartOptions{Args: []string{ClockFlag, fault.Offset.String()}})
	case Pause:
		return node.Continue()
	case All:
		return each(i.Fleet.Nodes(), start)
	default:
		i.heal()
		return nil
	}
}

// each does something to all nodes at once.
func each(nodes []*fleet.Node, do func(*fleet.Node) error) error {
	errs := make([]error, len(nodes))
	var group sync.WaitGroup
	for n, node := range nodes {
		group.Go(func() { errs[n] = do(node) })
	}
	group.Wait()
	return errors.Join(errs...)
}

// wait waits for d, and reports whether ctx was not done meanwhile.
func wait(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
