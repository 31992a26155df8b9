package ringfleet

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"time"

	"connectrpc.com/connect"

	"github.com/ringfleet/ringfleet/api"
	"github.com/ringfleet/ringfleet/events"
	"github.com/ringfleet/ringfleet/internal/desk"
	"github.com/ringfleet/ringfleet/invitation"
	"github.com/ringfleet/ringfleet/messages/apipb"
)

// What questions how invitations stand may take, so that those of the internet leave room for the back ends'.
const (
	standingTime = 2 * time.Second // one, over HTTP
	maxStandings = 1_024           // at once
)

// ErrStandingUnknown is returned by [Node.Standing] where the node that has the invitation cannot be asked, or does not know yet:
// it took over from one that was lost a moment ago; and where 1,024 questions wait. Ask again.
var ErrStandingUnknown = errors.New("ringfleet: how the invitation stands is not known at the moment")

// Standing returns whether an invitation still waits for an answer, so that a push that comes late does not ring. Any
// node of the cluster may be asked. It asks until ctx is done, which should have a deadline. The error is
// [ErrStandingUnknown], with that of ctx if it was asked.
func (n *Node) Standing(ctx context.Context, id invitation.ID) (events.Validity, error) {
	defer n.standings.Add(-1)
	if n.standings.Add(1) > maxStandings {
		return events.Validity{}, ErrStandingUnknown
	}
	to, request := api.Target{Shard: id.Shard()}, &apipb.GetInvitationRequest{InvitationId: id.String()}
	for {
		answer, err := apiBackend{n}.Do(ctx, to, desk.GetInvitation, request)
		switch found, _ := answer.(*apipb.GetInvitationResponse); {
		case err == nil:
			return validity(found.GetInvitation()), nil
		case connect.CodeOf(err) == connect.CodeNotFound:
			return events.Validity{State: "UNKNOWN"}, nil
		}
		select {
		case <-ctx.Done():
			return events.Validity{}, errors.Join(ErrStandingUnknown, ctx.Err())
		case <-time.After(askAgain): // it is on its way, or a node is learning it
		}
	}
}

var standingNames = map[apipb.Stage]string{
	apipb.Stage_STAGE_OFFERING: "SENT", apipb.Stage_STAGE_RINGING: "RINGING", apipb.Stage_STAGE_ACCEPTING: "ANSWERED",
	apipb.Stage_STAGE_CONFIRMED: "ANSWERED", apipb.Stage_STAGE_ENDED: "ENDED",
}

func validity(found *apipb.Invitation) events.Validity {
	stage := found.GetStage()
	return events.Validity{
		Valid:       stage == apipb.Stage_STAGE_OFFERING || stage == apipb.Stage_STAGE_RINGING,
		State:       standingNames[stage],
		RemainingMs: int64(found.GetRemainingMs()),
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
