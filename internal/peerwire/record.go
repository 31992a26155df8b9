package peerwire

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/ringfleet/ringfleet/invitation"
	"github.com/ringfleet/ringfleet/invitation/arbiter"
	"github.com/ringfleet/ringfleet/invitation/session"
	"github.com/ringfleet/ringfleet/invitation/snapshot"
	"github.com/ringfleet/ringfleet/messages/peerpb"
)

// What a record may hold. The deployment's own bounds (session.Config) are far below.
const (
	maxDevices = 1_024  // of a user, and that an invitation was shown to
	maxEntries = 65_536 // invitations that a session knows
	maxPast    = 65_536 // and remembers
	maxTokens  = 1e9
	maxResumes = 1 << 20
)

// AppendRecord appends a record to buf, for [Codec.Record] to read. The error is a mistake of the program.
func (c Codec) AppendRecord(buf []byte, r *snapshot.Record) ([]byte, error) {
	m, now := new(peerpb.Record), c.Now()
	var err error
	switch {
	case r.Session != nil:
		s := new(peerpb.Record_Session)
		s.Session, err = sessionMessage(r.Session, now)
		m.Record = s
	case r.Arbiter != nil:
		a := new(peerpb.Record_Arbiter)
		a.Arbiter, err = stateMessage(r.Arbiter, now)
		m.Record = a
	case r.Event != nil:
		m.Record = &peerpb.Record_Event{Event: eventMessage(r.Event)}
	case !r.Past.IsZero():
		m.Record = &peerpb.Record_Past{Past: idBytes(r.Past)}
	case r.Lost != nil:
		shards := r.Lost.Shards
		m.Record = &peerpb.Record_Lost{Lost: &peerpb.ShardsLost{Shards: shardBytes(&shards), AtUs: r.Lost.At.Sub(now).Microseconds()}}
	case len(r.Outcomes) > 0:
		m.Record = &peerpb.Record_Outcomes{Outcomes: OutcomesMessage(r.Outcomes)}
	default:
		err = errors.New("nothing is in it")
	}
	if err != nil {
		return buf, fmt.Errorf("peerwire: encode a record: %w", err)
	}
	out, err := proto.MarshalOptions{}.MarshalAppend(buf, m)
	if err != nil {
		return buf, fmt.Errorf("peerwire: encode a record: %w", err)
	}
	return out, nil
}

// Record reads a record. Its points in time are put on this node's clock as if it had been written just
// now; for one that has waited, give the codec a clock that is behind by as much. The error wraps
// [ErrMalformed], or [cluster.ErrUnknown] for what only a newer version can have written.
//
// A record that it returns is safe to restore: every view has terms, every id and name is well formed,
// every entry is the user's, and no list is longer than any deployment's.
func (c Codec) Record(data []byte) (*snapshot.Record, error) {
	m := new(peerpb.Record)
	if err := unmarshal.Unmarshal(data, m); err != nil {
		return nil, malformed("not a record")
	}
	r, now := new(snapshot.Record), c.Now()
	var err error
	switch p := m.GetRecord().(type) {
	case *peerpb.Record_Session:
		r.Session, err = sessionState(p.Session, now)
	case *peerpb.Record_Arbiter:
		r.Arbiter, err = arbiterState(p.Arbiter, now)
	case *peerpb.Record_Past:
		r.Past, err = parseID(p.Past)
	case *peerpb.Record_Event:
		r.Event, err = event(p.Event)
	case *peerpb.Record_Lost:
		r.Lost, err = loss(p.Lost, now)
	case *peerpb.Record_Outcomes:
		r.Outcomes, err = Outcomes(p.Outcomes)
	default:
		err = unknown("record")
	}
	if err != nil {
		return nil, err
	}
	return r, nil
}

func loss(m *peerpb.ShardsLost, now invitation.Time) (*snapshot.Loss, error) {
	var shards invitation.ShardSet
	if err := setShards(&shards, m.GetShards()); err != nil {
		return nil, err
	}
	at := moments{now: now}
	l := &snapshot.Loss{Shards: shards, At: at.read(new(m.GetAtUs()))}
	return l, at.err
}

// moments reads and writes the points in time of one record.
type moments struct {
	now invitation.Time
	err error
}

func (m *moments) read(us *int64) invitation.Time {
	if us == nil {
		return 0
	}
	d, err := duration(*us)
	if err != nil {
		m.err = err
	}
	if t := m.now.Add(d); t != 0 {
		return t
	}
	return invitation.Time(time.Microsecond)
}

func sessionMessage(s *session.State, now invitation.Time) (*peerpb.SessionState, error) {
	m := &peerpb.SessionState{
		User: string(s.User), Changes: s.Changes, Tokens: s.Tokens,
		FilledUs: remaining(s.Filled, now), SweepUs: remaining(s.SweepAt, now), LeaveUs: remaining(s.LeaveAt, now),
		Resumes: uint32(min(max(s.Resumes, 0), maxResumes)), FreshUs: remaining(s.FreshAt, now),
		CalmUs: remaining(s.CalmAt, now), First: s.First,
	}
	for i := range s.Claims {
		c := &s.Claims[i]
		word, err := wordMessage(&c.Word)
		if err != nil {
			return nil, err
		}
		m.Claims = append(m.Claims, &peerpb.ClaimState{
			Word: word, Device: string(c.Device), UntilUs: remaining(c.Until, now), AskUs: remaining(c.AskAt, now),
			WaitUs: microseconds(c.Wait), EndsUs: remaining(c.EndsAt, now),
		})
	}
	for i := range s.Devices {
		d := &s.Devices[i]
		if d.Conn.Node == "" {
			return nil, errors.New("a connection without the name of its node")
		}
		m.Devices = append(m.Devices, &peerpb.DeviceState{
			Name: string(d.Name), Conn: &peerpb.Conn{Node: d.Conn.Node, Number: d.Conn.Number}, Stamp: d.Stamp,
			Attached: d.Attached, Connected: d.Connected, LostUs: remaining(d.Since, now), Why: uint32(d.Why),
			UntilUs: remaining(d.Until, now), TellingUs: remaining(d.Telling, now),
		})
	}
	for i := range s.Entries {
		e, err := entryMessage(&s.Entries[i], now)
		if err != nil {
			return nil, err
		}
		m.Entries = append(m.Entries, e)
	}
	for i := range s.Past {
		m.Past = append(m.Past, s.Past[i][:])
	}
	return m, nil
}

func entryMessage(e *session.EntryState, now invitation.Time) (*peerpb.EntryState, error) {
	view, err := viewMessage(e.View, now)
	if err != nil {
		return nil, err
	}
	m := &peerpb.EntryState{
		View: view, Answered: e.Answered, Withdrawn: e.Withdrawn, SendId: e.SendID, Ended: e.Ended, Asking: e.Asking,
		Renamed: e.Renamed, SeenUs: remaining(e.SeenAt, now), AskUs: remaining(e.AskAt, now),
		Resumed: resumedMessage(e.Resumed), EndsUs: remaining(e.EndsAt, now), Asked: e.Asked, Whole: e.Whole,
		VouchUs: remaining(e.VouchAt, now),
	}
	for _, s := range e.Shown {
		m.Shown = append(m.Shown, &peerpb.ShownState{Device: string(s.Device), Done: s.Done, Told: s.Told})
	}
	return m, nil
}

func sessionState(p *peerpb.SessionState, now invitation.Time) (*session.State, error) {
	at := moments{now: now}
	s := &session.State{
		User: invitation.User(p.GetUser()), Changes: p.GetChanges(), Tokens: p.GetTokens(),
		Filled: at.read(p.FilledUs), SweepAt: at.read(p.SweepUs), LeaveAt: at.read(p.LeaveUs),
		Resumes: int(min(p.GetResumes(), maxResumes)), FreshAt: at.read(p.FreshUs),
		CalmAt: at.read(p.CalmUs), First: p.GetFirst(),
	}
	switch {
	case !s.User.Valid():
		return nil, malformed("a session without a user")
	case math.IsNaN(s.Tokens) || math.Abs(s.Tokens) > maxTokens:
		return nil, malformed("a session with %v sends", s.Tokens)
	case len(p.GetDevices()) > maxDevices, len(p.GetEntries()) > maxEntries, len(p.GetPast()) > maxPast,
		len(p.GetClaims()) > 2*maxEntries:
		return nil, malformed("a session of %d devices and %d, %d and %d invitations",
			len(p.GetDevices()), len(p.GetEntries()), len(p.GetPast()), len(p.GetClaims()))
	}
	for _, claim := range p.GetClaims() {
		wait, err := duration(claim.GetWaitUs())
		c := session.ClaimState{
			Device: invitation.Device(claim.GetDevice()), Until: at.read(claim.UntilUs), AskAt: at.read(claim.AskUs),
			Wait: wait, EndsAt: at.read(claim.EndsUs),
		}
		if err = errors.Join(err, setWord(&c.Word, claim.GetWord())); err != nil {
			return nil, err
		}
		if !c.Device.Valid() || !invitation.ValidText(c.Word.Response, invitation.MaxResponse) {
			return nil, malformed("a word of no device")
		}
		s.Claims = append(s.Claims, c)
	}
	names := map[invitation.Device]bool{}
	for _, device := range p.GetDevices() {
		d, err := deviceState(device, &at)
		if err == nil && names[d.Name] {
			err = malformed("a device twice")
		}
		if err != nil {
			return nil, err
		}
		names[d.Name] = true
		s.Devices = append(s.Devices, d)
	}
	for _, entry := range p.GetEntries() {
		e, err := entryState(entry, s.User, &at)
		if err != nil {
			return nil, err
		}
		if n := len(s.Entries); n > 0 && slices.Compare(s.Entries[n-1].View.Terms.ID[:], e.View.Terms.ID[:]) >= 0 {
			return nil, malformed("invitations out of order")
		}
		s.Entries = append(s.Entries, e)
	}
	for _, b := range p.GetPast() {
		id, err := parseID(b)
		if err != nil {
			return nil, err
		}
		s.Past = append(s.Past, id)
	}
	if at.err != nil {
		return nil, at.err
	}
	return s, nil
}

func deviceState(p *peerpb.DeviceState, at *moments) (session.DeviceState, error) {
	d := session.DeviceState{
		Name: invitation.Device(p.GetName()), Stamp: p.GetStamp(), Attached: p.GetAttached(), Connected: p.GetConnected(),
		Since: at.read(p.LostUs), Until: at.read(p.UntilUs), Telling: at.read(p.TellingUs),
	}
	if !d.Name.Valid() {
		return d, malformed("a device without a name")
	}
	var errs [2]error
	d.Conn, errs[0] = conn(p.GetConn())
	d.Why, errs[1] = code[invitation.End](p.GetWhy(), "end")
	return d, errors.Join(errs[:]...)
}

func entryState(p *peerpb.EntryState, user invitation.User, at *moments) (session.EntryState, error) {
	e := session.EntryState{
		Answered: p.GetAnswered(), Withdrawn: p.GetWithdrawn(), SendID: p.GetSendId(), Ended: p.GetEnded(), Asking: p.GetAsking(),
		Renamed: p.GetRenamed(), SeenAt: at.read(p.SeenUs), AskAt: at.read(p.AskUs), EndsAt: at.read(p.EndsUs),
		Asked: p.GetAsked(), Whole: p.GetWhole(), VouchAt: at.read(p.VouchUs),
	}
	var err error
	if e.Resumed, err = resumed(p.GetResumed()); err != nil {
		return e, err
	}
	if e.View, err = keptView(p.GetView(), at.now); err != nil {
		return e, err
	}
	if terms := e.View.Terms; terms.Caller != user && terms.Callee != user {
		return e, malformed("an invitation of others")
	}
	if len(p.GetShown()) > maxDevices {
		return e, malformed("an invitation shown to %d devices", len(p.GetShown()))
	}
	names := map[invitation.Device]bool{}
	for _, shown := range p.GetShown() {
		s := session.ShownState{Device: invitation.Device(shown.GetDevice()), Done: shown.GetDone(), Told: shown.GetTold()}
		if !s.Device.Valid() || names[s.Device] {
			return e, malformed("an invitation shown to no device, or to one twice")
		}
		names[s.Device] = true
		e.Shown = append(e.Shown, s)
	}
	return e, nil
}

// keptView reads a view that a machine had, which has checked it.
func keptView(p *peerpb.View, now invitation.Time) (*invitation.View, error) {
	v, err := view(p, now)
	if err != nil {
		return nil, err
	}
	t := v.Terms
	switch {
	case !t.Caller.Valid(), !t.Device.Valid(), !t.Callee.Valid(), t.Caller == t.Callee:
		return nil, malformed("an invitation without two users")
	case !invitation.ValidText(t.Content, invitation.MaxContent), !invitation.ValidText(t.ChannelID, invitation.MaxChannel),
		!invitation.ValidText(v.Response, invitation.MaxResponse):
		return nil, malformed("an invitation with a text of %d, %d or %d bytes", len(t.Content), len(t.ChannelID), len(v.Response))
	case !optional(v.Chosen):
		return nil, malformed("an invitation accepted by no device")
	}
	return v, nil
}

func optional(d invitation.Device) bool { return d == "" || d.Valid() }

func stateMessage(a *snapshot.Arbiter, now invitation.Time) (*peerpb.ArbiterState, error) {
	s := &a.State
	view, err := viewMessage(s.View, now)
	if err != nil {
		return nil, err
	}
	return &peerpb.ArbiterState{
		View:         view,
		DeadlineUs:   remaining(s.Deadline, now),
		GoneUs:       remaining(s.GoneAt, now),
		PatienceUs:   remaining(s.Patience, now),
		LostUs:       remaining(s.LostAt, now),
		RetryUs:      remaining(s.RetryAt, now),
		Retries:      uint32(s.Retries),
		Placed:       s.Placed,
		Taken:        s.Taken,
		CalleeHeard:  s.CalleeHeard,
		CallerOnline: s.CallerOnline,
		Connected:    s.Connected,
		Absent:       s.Absent,
		CalleeOnline: s.CalleeOnline,
		CallerDone:   s.CallerDone,
		Committed:    s.Committed,
		Concluded:    s.Concluded,
		Confirmed:    string(s.Confirmed),
		Said:         string(s.Said),
		SendId:       s.SendID,
		CancelId:     s.CancelID,
		AnswerId:     s.AnswerID,
		SentUs:       remaining(a.Sent, now),
		Told:         peerpb.Stage(a.Told),
		ReachedUs:    remaining(a.Reached, now),
		Denied:       string(s.Denied),
		Asking:       s.Asking,
		Vouched:      s.Vouched,
		Informed:     s.Informed,
		HoldUs:       remaining(s.HoldAt, now),
		Warned:       s.Warned,
		RangUs:       remaining(a.Rang, now),
		AnsweredUs:   remaining(a.Answered, now),
		Events:       uint32(a.Events),
	}, nil
}

// maxRetries keeps a shift by it, which the machine makes, in bounds.
const maxRetries = 16

func arbiterState(p *peerpb.ArbiterState, now invitation.Time) (*snapshot.Arbiter, error) {
	at := moments{now: now}
	a := &snapshot.Arbiter{
		State: arbiter.State{
			Deadline:     at.read(p.DeadlineUs),
			GoneAt:       at.read(p.GoneUs),
			Patience:     at.read(p.PatienceUs),
			LostAt:       at.read(p.LostUs),
			RetryAt:      at.read(p.RetryUs),
			Placed:       p.GetPlaced(),
			Taken:        p.GetTaken(),
			CalleeHeard:  p.GetCalleeHeard(),
			CallerOnline: p.GetCallerOnline(),
			Connected:    p.GetConnected(),
			Absent:       p.GetAbsent(),
			CalleeOnline: p.GetCalleeOnline(),
			CallerDone:   p.GetCallerDone(),
			Committed:    p.GetCommitted(),
			Concluded:    p.GetConcluded(),
			Confirmed:    invitation.Device(p.GetConfirmed()),
			Said:         invitation.Device(p.GetSaid()),
			SendID:       p.GetSendId(),
			CancelID:     p.GetCancelId(),
			AnswerID:     p.GetAnswerId(),
			Denied:       invitation.Device(p.GetDenied()),
			Asking:       p.GetAsking(),
			Vouched:      p.GetVouched(),
			Informed:     p.GetInformed(),
			HoldAt:       at.read(p.HoldUs),
			Warned:       p.GetWarned(),
		},
		Sent:    at.read(p.SentUs),
		Reached: at.read(p.ReachedUs),

		Rang:     at.read(p.RangUs),
		Answered: at.read(p.AnsweredUs),
	}
	s := &a.State
	errs := [5]error{at.err}
	s.View, errs[1] = keptView(p.GetView(), now)
	s.Retries, errs[2] = code[uint8](p.GetRetries(), "number of retries")
	a.Told, errs[3] = enum[invitation.Stage](p.GetTold(), invitation.Stages, "stage")
	a.Events, errs[4] = code[uint8](p.GetEvents(), "set of events")
	if err := errors.Join(errs[:]...); err != nil {
		return nil, err
	}
	if !optional(s.Confirmed) || !optional(s.Said) || !optional(s.Denied) || s.Retries > maxRetries {
		return nil, malformed("an arbiter's state that no arbiter has")
	}
	return a, nil
}
