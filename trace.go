package ringfleet

import (
	"context"
	"log/slog"
	"time"

	"go.opentelemetry.io/otel/attribute"
	sdk "go.opentelemetry.io/otel/sdk/trace"

	"github.com/ringfleet/ringfleet/actors"
	"github.com/ringfleet/ringfleet/internal/tracing"
	"github.com/ringfleet/ringfleet/invitation"
	"github.com/ringfleet/ringfleet/invitation/session"
)

// TraceConfig makes the node tell what becomes of some invitations, as traces of OpenTelemetry. Each node that an
// invitation meets makes its own spans; docs/operations.md shows a trace.
type TraceConfig struct {
	// Exporter takes the spans, as one of go.opentelemetry.io/otel/exporters/otlp does. The node shuts it down. The
	// default is none: there are no traces, and they cost nothing.
	Exporter sdk.SpanExporter
	// Ratio of the invitations that are traced: more than 0, at most 1. All nodes of a cluster need the same, so that they
	// trace the same ones. The default is 0.01.
	Ratio float64
}

// defaultTraceRatio is one invitation of a hundred.
const defaultTraceRatio = 0.01

func (c TraceConfig) tracing(node *Config) tracing.Config {
	t := tracing.Config{Exporter: c.Exporter, Ratio: c.Ratio, Node: node.Name, Logger: node.Logger}
	if c.Ratio == 0 {
		t.Ratio = defaultTraceRatio
	}
	if node.Cluster != nil {
		t.Build = node.Cluster.Build
	}
	return t
}

// deviceSaid notes what a device said to this node.
func (n *Node) deviceSaid(conn uint64, user invitation.User, device invitation.Device, up *invitation.Up) {
	switch {
	case up.Call != nil:
		id := up.Call.About(user, device)
		if n.tracer.Traces(id) {
			n.tracer.Note(id, connection(callSide(up.Call.Request)), conn, n.config.WallClock(), "said "+up.Call.Request.String(), false)
		}
	case up.Word != nil:
		if id := up.Word.ID; n.tracer.Traces(id) {
			done := up.Word.Kind == invitation.WordDone
			n.tracer.Note(id, connection(up.Word.Side), conn, n.config.WallClock(), "said "+up.Word.Kind.String(), done)
		}
	}
}

// deviceTold notes what a device of this node is told.
func (n *Node) deviceTold(conn uint64, down *invitation.Down) {
	switch {
	case down.Answer != nil:
		a := down.Answer
		if n.tracer.Traces(a.ID) {
			n.tracer.Note(a.ID, connection(callSide(a.Request)), conn, n.config.WallClock(), "answered "+a.Request.String(), false,
				attribute.String("ringfleet.code", a.Error.String()))
		}
	case down.Notice != nil:
		v := down.Notice
		if !n.tracer.Traces(v.ID) {
			return
		}
		state, over := v.Remote.String(), v.Remote.Terminal()
		if v.Side == invitation.Caller {
			state, over = v.Local.String(), v.Local.Terminal()
		}
		n.tracer.Note(v.ID, connection(v.Side), conn, n.config.WallClock(), "told "+state, over || v.Settled,
			attribute.Bool("ringfleet.settled", v.Settled))
	}
}

// tracedSession notes what a session of this node is told.
func (n *Node) tracedSession(user invitation.User, in *session.Input) {
	var id invitation.ID
	side, what, over := invitation.Caller, "", false
	switch {
	case in.Call != nil:
		id, side, what = in.Call.About(user, in.Device), callSide(in.Call.Request), "device: "+in.Call.Request.String()
	case in.Word != nil:
		id, side, what = in.Word.ID, in.Word.Side, "device: "+in.Word.Kind.String()
		over = in.Word.Kind == invitation.WordDone
	case in.View != nil:
		id, what, over = in.View.Terms.ID, "arbiter: "+in.View.Stage.String(), in.View.Stage == invitation.Ended
		if in.View.Terms.Caller != user {
			side = invitation.Callee
		}
	case in.Reply != nil:
		id, side, what = in.Reply.ID, callSide(in.Reply.Request), "arbiter: reply to "+in.Reply.Request.String()
	default:
		return
	}
	if !n.tracer.Traces(id) {
		return
	}
	party := tracing.CallerSession
	if side == invitation.Callee {
		party = tracing.CalleeSession
	}
	n.tracer.Note(id, party, 0, n.config.WallClock(), what, over)
}

func connection(side invitation.Side) tracing.Party {
	if side == invitation.Callee {
		return tracing.CalleeConnection
	}
	return tracing.CallerConnection
}

// callSide returns whose request it is.
func callSide(r invitation.Request) invitation.Side {
	if r == invitation.Accept || r == invitation.Refuse {
		return invitation.Callee
	}
	return invitation.Caller
}

// moved logs, at level debug, that an invitation of this node has reached a stage, and makes the trace of one that has
// ended.
func (n *Node) moved(s actors.Stage) {
	id := s.View.Terms.ID
	if n.config.Logger.Enabled(context.Background(), slog.LevelDebug) {
		n.config.Logger.LogAttrs(context.Background(), slog.LevelDebug, "invitation", slog.String("trace_id", id.TraceID()),
			slog.String("stage", s.View.Stage.String()), slog.String("outcome", s.View.Outcome.String()),
			slog.String("reason", s.View.Reason.String()), slog.Duration("since_sent", s.Now.Sub(s.Sent)), slog.Bool("recovered", s.Recovered))
	}
	if s.View.Stage != invitation.Ended || !n.tracer.Traces(id) {
		return
	}
	now := n.config.WallClock().Add(-n.host.Now().Sub(s.Now)) // what s.Now was by the wall clock
	at := func(t invitation.Time) time.Time { return now.Add(-s.Now.Sub(t)) }
	begun, name := s.Sent, "offering"
	var stages []tracing.Stage
	for _, next := range []struct {
		at   invitation.Time
		name string
	}{{s.Rang, "ringing"}, {s.Answered, "committing"}} {
		if next.at != 0 {
			stages = append(stages, tracing.Stage{Name: name, From: at(begun), To: at(next.at)})
			begun, name = next.at, next.name
		}
	}
	stages = append(stages, tracing.Stage{Name: name, From: at(begun), To: now})
	n.tracer.Invitation(id, at(s.Sent), now, stages, attribute.String("ringfleet.outcome", s.View.Outcome.String()),
		attribute.String("ringfleet.reason", s.View.Reason.String()), attribute.Bool("ringfleet.recovered", s.Recovered))
}
