package ringfleet

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"time"

	"github.com/ringfleet/ringfleet/cluster/handoff"
	"github.com/ringfleet/ringfleet/events"
	"github.com/ringfleet/ringfleet/internal/peerwire"
	"github.com/ringfleet/ringfleet/invitation"
)

// What a question how an invitation stands may take.
const (
	standingTime  = 2 * time.Second        // in all, over HTTP
	standingAgain = 300 * time.Millisecond // after this it is asked again
	maxQuestions  = 4_096                  // at once
)

// ErrStandingUnknown is returned by [Node.Standing] where the node that has the invitation cannot be asked, or does not know yet:
// it took over from one that was lost a moment ago. Ask again.
var ErrStandingUnknown = errors.New("ringfleet: how the invitation stands is not known at the moment")

// questions are those that wait for an answer of another node.
type questions struct {
	mu      sync.Mutex
	last    uint64
	waiting map[uint64]chan *peerwire.StandingAnswer // each has room for one
}

func (q *questions) ask() (uint64, chan *peerwire.StandingAnswer, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.waiting) >= maxQuestions {
		return 0, nil, ErrStandingUnknown
	}
	if q.waiting == nil {
		q.waiting = map[uint64]chan *peerwire.StandingAnswer{}
	}
	q.last++
	answer := make(chan *peerwire.StandingAnswer, 1)
	q.waiting[q.last] = answer
	return q.last, answer, nil
}

func (q *questions) forget(number uint64) {
	q.mu.Lock()
	defer q.mu.Unlock()
	delete(q.waiting, number)
}

func (q *questions) answered(a *peerwire.StandingAnswer) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if answer := q.waiting[a.Number]; answer != nil {
		delete(q.waiting, a.Number)
		answer <- a
	}
}

// Standing returns whether an invitation still waits for an answer, so that a push that comes late does not ring. Any
// node of the cluster may be asked. The error is [ErrStandingUnknown], or that of ctx.
func (n *Node) Standing(ctx context.Context, id invitation.ID) (events.Validity, error) {
	number, answer, err := n.questions.ask()
	if err != nil {
		return events.Validity{}, err
	}
	defer n.questions.forget(number)
	question := &peerwire.StandingQuestion{Number: number, ID: id}
	ticker := time.NewTicker(standingAgain)
	defer ticker.Stop()
	for {
		n.askStanding(question)
		select {
		case <-ctx.Done():
			return events.Validity{}, errors.Join(ErrStandingUnknown, ctx.Err())
		case a := <-answer:
			if !a.Known && a.Lost {
				return events.Validity{}, ErrStandingUnknown
			}
			return validity(a), nil
		case <-ticker.C:
		}
	}
}

// askStanding asks the node that has the invitation, be it this one.
func (n *Node) askStanding(question *peerwire.StandingQuestion) {
	if n.member == nil {
		n.answerStanding("", question)
		return
	}
	owner, self := n.member.router.Owner(question.ID.Shard())
	switch {
	case self:
		n.answerStanding("", question)
	case owner != "":
		copyKeepers{n}.say(owner, &peerwire.Events{Question: question})
	}
}

// answerStanding answers a question of a node; "" is this one.
func (n *Node) answerStanding(from string, question *peerwire.StandingQuestion) {
	answer := func(a *peerwire.StandingAnswer) {
		a.Number = question.Number
		if from == "" {
			n.questions.answered(a)
		} else {
			copyKeepers{n}.say(from, &peerwire.Events{Answer: a})
		}
	}
	shard := question.ID.Shard()
	if n.member != nil && n.member.place(shard) != handoff.Held {
		return // it is on its way: who asks asks again
	}
	found := n.host.Look(question.ID, func(v *invitation.View, now invitation.Time) {
		a := &peerwire.StandingAnswer{Known: true, Stage: v.Stage, Outcome: v.Outcome}
		if v.Deadline > now && v.Stage != invitation.Ended {
			a.Remaining = v.Deadline.Sub(now)
		}
		answer(a)
	})
	if !found {
		at := network{n}.LostAt(shard)
		answer(&peerwire.StandingAnswer{Lost: n.member != nil && at != 0 && n.host.Now() < at.Add(lostFor)})
	}
}

// lostFor is for how long after a loss an invitation may not be known yet to the node that took over: most of what is
// alive has been made again by then.
const lostFor = 3 * time.Second

var standingNames = [invitation.Stages]string{"SENT", "RINGING", "ANSWERED", "ANSWERED", "ENDED"}

func validity(a *peerwire.StandingAnswer) events.Validity {
	if !a.Known {
		return events.Validity{State: "UNKNOWN"}
	}
	return events.Validity{
		Valid: a.Stage <= invitation.Ringing, State: standingNames[a.Stage], RemainingMs: a.Remaining.Milliseconds(),
	}
}

// serveLink answers who has a signed link.
func (n *Node) serveLink(w http.ResponseWriter, r *http.Request) {
	id, err := n.config.Events.Links.Check(r, n.config.WallClock())
	switch {
	case errors.Is(err, events.ErrExpired):
		writeValidity(w, events.Validity{State: "UNKNOWN"})
	case err != nil:
		http.Error(w, "this is not a link that was made here", http.StatusForbidden)
	default:
		n.serveStanding(w, r, id)
	}
}

func (n *Node) serveStanding(w http.ResponseWriter, r *http.Request, id invitation.ID) {
	ctx, cancel := context.WithTimeout(r.Context(), standingTime)
	defer cancel()
	v, err := n.Standing(ctx, id)
	if err != nil {
		w.Header().Set("Retry-After", "1")
		http.Error(w, err.Error(), http.StatusServiceUnavailable)
		return
	}
	writeValidity(w, v)
}

func writeValidity(w http.ResponseWriter, v events.Validity) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	_ = json.NewEncoder(w).Encode(v) // who does not read it asks again
}

// eventsHandler is the part of the admin address that is about events:
//
//	GET  /events/valid/{id}        whether an invitation still waits for an answer
//	POST /events/enable?sink=NAME  deliver to a sink again whose receiver had said that it is gone
func (n *Node) eventsHandler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /events/valid/{id}", func(w http.ResponseWriter, r *http.Request) {
		id, err := invitation.ParseID(r.PathValue("id"))
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		n.serveStanding(w, r, id)
	})
	mux.HandleFunc("POST /events/enable", func(w http.ResponseWriter, r *http.Request) {
		if name := r.FormValue("sink"); !n.EnableSink(name) {
			http.Error(w, fmt.Sprintf("there is no sink %q", name), http.StatusNotFound)
			return
		}
		_, _ = fmt.Fprintln(w, "ok")
	})
	return mux
}
