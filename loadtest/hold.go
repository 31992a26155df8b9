package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/ringfleet/ringfleet/internal/judge"
	"github.com/ringfleet/ringfleet/invitation"
	"github.com/ringfleet/ringfleet/loadtest/chaos"
	"github.com/ringfleet/ringfleet/loadtest/stats"
)

// holding is a run with --hold: many invitations ring while a node is hurt, and are answered afterwards.
type holding struct {
	run    *run
	chaos  *chaosRun
	random *rand.Rand

	calls []*call   // that rang, and are to be answered
	hurt  time.Time // when the fault began

	mu    sync.Mutex
	again []time.Duration // from then on, until each caller was told again that it rings
	lost  map[string]int64
}

// holdResult is what came of it. Its JSON names are stable.
type holdResult struct {
	Invitations int              `json:"invitations"`
	Pairs       int              `json:"pairs"`
	Fault       string           `json:"fault"`
	Ringing     int              `json:"ringing"`        // when the fault began, those that were to run out left out
	Expiring    int              `json:"expiring"`       // that were to run out about then
	Told        int              `json:"answers"`        // to callers that asked
	Again       stats.Quick      `json:"again_ms"`       // from the begin of the fault
	Lost        map[string]int64 `json:"lost,omitempty"` // answers that were not that it rings with its deadline
}

// Of the invitations that are held, the last ones are to run out about when the fault is.
const (
	holdExpire    = 4 * time.Minute // all others'
	holdRunOut    = 20              // one of so many
	leastRunOut   = 3 * time.Second
	mostRunOut    = 15 * time.Second
	defaultHold   = 800.0 // invitations sent, and answered, per second
	holdRingsIn   = time.Minute
	holdAnswersIn = time.Minute
)

// holdScenarios are those of invitations that are held for longer than the fault lasts.
var holdScenarios = steadyScenarios(holdExpire)[:3]

// hold lets the invitations ring, hurts a node, asks for every one of them, and answers them all.
func (r *run) hold(ctx context.Context) *holding {
	h := &holding{run: r, chaos: r.chaos, random: rand.New(rand.NewPCG(r.options.seed, 0)), lost: map[string]int64{}}
	var calls sync.WaitGroup
	h.sendAll(ctx, &calls)
	h.awaitRinging(ctx)
	var hurting sync.WaitGroup
	began := make(chan struct{})
	hurting.Go(func() { h.injure(ctx, began) })
	<-began
	h.askAll(h.ask)
	hurting.Wait()
	h.askAll(func(ctx context.Context, u *user, c *call) { h.askOnce(ctx, u, c, true) })
	h.answerAll()
	calls.Wait()
	r.judging.Wait()
	return h
}

// pace calls do for 0 to n-1, on schedule, until ctx is done.
func (h *holding) pace(ctx context.Context, n int, do func(int)) {
	rate := h.run.options.rate
	if rate == 0 {
		rate = defaultHold
	}
	interval := time.Duration(float64(time.Second) / rate)
	begin := time.Now()
	for i := range n {
		if wait := time.Until(begin.Add(time.Duration(i) * interval)); wait > 0 && !pause(ctx, wait) {
			return
		}
		do(i)
	}
}

// sendAll sends the invitations: of each pair the first user to the second, over and over.
func (h *holding) sendAll(ctx context.Context, calls *sync.WaitGroup) {
	users, n := h.run.users, h.run.options.chaos.hold
	pairs := len(users) / 2
	short := n / holdRunOut
	h.pace(ctx, n, func(i int) {
		s := holdScenarios[i%len(holdScenarios)]
		if i >= n-short {
			s = steadyScenarios(leastRunOut + time.Duration(h.random.Int64N(int64(mostRunOut-leastRunOut))))[3]
		}
		caller, callee := users[i%pairs], users[pairs+i%pairs]
		calls.Go(func() { h.run.make(ctx, s, caller, callee, time.Now()) })
	})
}

// held returns the calls that are to be answered, and the others.
func (h *holding) held() (held, others []*call) {
	h.run.calls.Range(func(_, one any) bool {
		if c, ok := one.(*call); ok && c.history.timers.Expire == holdExpire {
			held = append(held, c)
		} else if ok {
			others = append(others, c)
		}
		return true
	})
	slices.SortFunc(held, func(a, b *call) int { return int(a.number - b.number) })
	return held, others
}

// rings reports whether both sides know that the call rings.
func (c *call) rings() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return !c.history.rung.IsZero() && !c.history.over()
}

// awaitRinging waits until all that are held ring.
func (h *holding) awaitRinging(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, holdRingsIn)
	defer cancel()
	for {
		held, others := h.held()
		silent := slices.IndexFunc(slices.Concat(held, others), func(c *call) bool { return !c.rings() && !c.over.Load() })
		if len(held) > 0 && silent < 0 {
			break
		}
		if !pause(ctx, 100*time.Millisecond) {
			h.run.fail(errors.New("hold: not all invitations ring"))
			break
		}
	}
	h.calls, _ = h.held()
}

// injure hurts one node, by the first fault of the schedule.
func (h *holding) injure(ctx context.Context, began chan struct{}) {
	c := h.chaos
	fault := chaos.NewSchedule(c.schedule()).Next()
	if lasts := c.options.lasts; lasts > 0 && fault.Lasts > 0 {
		fault.Lasts = lasts
	}
	injector := c.injector(h.run)
	changed := injector.Changed
	injector.Changed = func(f chaos.Record) {
		if f.Ended.IsZero() {
			h.hurt = f.Began
			close(began)
		}
		changed(f)
	}
	injector.Begin()
	if err := injector.Inject(ctx, fault); err != nil {
		h.run.fail(fmt.Errorf("chaos: %w", err))
	}
}

// askAll lets each caller ask for each of its invitations, one after the other, until it is answered, from the begin
// of the fault on, and once more when all is well.
func (h *holding) askAll(ask func(context.Context, *user, *call)) {
	mine := map[*user][]*call{}
	for _, c := range h.calls {
		mine[c.caller] = append(mine[c.caller], c)
	}
	var users sync.WaitGroup
	for u, calls := range mine {
		users.Go(func() {
			ctx, cancel := context.WithTimeout(context.Background(), holdAnswersIn)
			defer cancel()
			for _, c := range calls {
				ask(ctx, u, c)
			}
		})
	}
	users.Wait()
}

// ask asks for one invitation until it is known, and judges what is told.
func (h *holding) ask(ctx context.Context, u *user, c *call) {
	for !h.askOnce(ctx, u, c, false) && pause(ctx, askInterval) {
	}
	h.mu.Lock()
	h.again = append(h.again, time.Since(h.hurt))
	h.mu.Unlock()
}

// askInterval is how soon a caller asks again for an invitation that was not known.
const askInterval = 100 * time.Millisecond

// askOnce asks once, and reports whether the invitation was known. An answer that was under way while nodes were
// busy may tell too late a deadline; when all is well, none may.
func (h *holding) askOnce(ctx context.Context, u *user, c *call, well bool) bool {
	c.mu.Lock()
	id, expire := c.history.survival.id, c.history.timers.Expire
	from, until := c.history.shown.Add(expire), later(c.history.shown, c.history.rung).Add(expire)
	c.mu.Unlock()
	notice, err := u.client.Query(ctx, id)
	at := time.Now()
	deadline := at.Add(notice.Remaining)
	tolerance := slack + h.run.lag.worst()
	var lost string
	switch {
	case err != nil:
		lost = fmt.Sprintf("the caller was told %v", err)
	case notice.Local != invitation.LocalReceivedByRemote:
		lost = fmt.Sprintf("the caller was told that it is %v", notice.Local)
	case deadline.Before(from.Add(-tolerance)) || well && deadline.After(until.Add(tolerance)):
		lost = "the caller was told another deadline"
	}
	if lost == "" {
		return true
	}
	h.mu.Lock()
	countText(h.lost, lost)
	h.mu.Unlock()
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.history.broken) == 0 { // once
		c.history.breaks(judge.P6, "%v after the fault began %s: until %v, not %v", at.Sub(h.hurt), lost, deadline.Sub(from), until.Sub(from))
	}
	return err == nil
}

// answerAll does with each what its scenario is for.
func (h *holding) answerAll() {
	var answers sync.WaitGroup
	h.pace(context.Background(), len(h.calls), func(i int) {
		c := h.calls[i]
		c.mu.Lock()
		local, remote := c.local, c.remote
		c.mu.Unlock()
		if local == nil || remote == nil {
			return // judged: it has no end
		}
		answers.Go(func() {
			switch c.history.scenario.outcomes[0] {
			case invitation.Accepted:
				c.sayAccept(remote)
			case invitation.Refused:
				c.sayRefuse(remote)
			default:
				c.sayCancel(local)
			}
		})
	})
	answers.Wait()
}

// result returns what came of it.
func (h *holding) result() *holdResult {
	var again stats.Histogram
	for _, d := range h.again {
		again.Record(d)
	}
	n := h.run.options.chaos.hold
	res := &holdResult{
		Invitations: n, Pairs: min(n, len(h.run.users)/2), Ringing: len(h.calls), Expiring: n / holdRunOut, Told: len(h.again),
		Again: again.Quick(), Lost: h.lost,
	}
	if all := h.chaos.log.All(); len(all) > 0 {
		res.Fault = all[0].String()
	}
	if within := h.chaos.options.within; within > 0 && len(h.again) > 0 && slices.Max(h.again) > within {
		h.run.fail(fmt.Errorf("hold: the last caller was answered %v after the fault began, want %v", slices.Max(h.again), within))
	}
	return res
}

// print writes it for people.
func (res *holdResult) print(w io.Writer) {
	fmt.Fprintf(w, "\n%d invitations over %d pairs, %d rang and %d were to run out when the fault began: %s\n", res.Invitations, res.Pairs,
		res.Ringing, res.Expiring, res.Fault)
	fmt.Fprintf(w, "callers asked for each: %d answers, p50 %.1f ms, p99 %.1f ms, the last %.3f s after the fault began\n", res.Told,
		res.Again.P50, res.Again.P99, res.Again.Max/1000)
	printCounts(w, "lost", res.Lost)
}
