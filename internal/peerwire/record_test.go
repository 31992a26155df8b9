package peerwire_test

import (
	"errors"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"pgregory.net/rapid"

	"github.com/ringfleet/ringfleet/cluster"
	"github.com/ringfleet/ringfleet/internal/peerwire"
	"github.com/ringfleet/ringfleet/invitation"
	"github.com/ringfleet/ringfleet/invitation/arbiter"
	"github.com/ringfleet/ringfleet/invitation/session"
	"github.com/ringfleet/ringfleet/invitation/snapshot"
	"github.com/ringfleet/ringfleet/messages/peerpb"
)

// records are actors' states, each field set at least once.
var records = map[string]*snapshot.Record{
	"past":          {Past: sampleID},
	"lost":          {Lost: &snapshot.Loss{Shards: invitation.ShardSet{1: 6}, At: now.Add(-3 * time.Second)}},
	"session_plain": {Session: &session.State{User: "alice", Tokens: 20}},
	"session": {Session: &session.State{
		User: "bob",
		Devices: []session.DeviceState{
			{Name: "phone", Conn: sampleConn, Stamp: 1 << 60, Attached: 3, Connected: true},
			{
				Name: "tablet", Conn: session.Conn{Node: "node-3", Number: 9}, Stamp: 1<<60 - 1, Attached: 2, Since: now.Add(-time.Second),
				Why: invitation.EndRemoteLogin, Until: now.Add(29 * time.Second),
			},
		},
		Entries: []session.EntryState{
			{
				View:     &invitation.View{Terms: &invitation.Terms{ID: invitation.ID{1: 1}, Caller: "bob", Device: "phone", Callee: "carol"}, Version: 1},
				Answered: true, Withdrawn: true, SendID: 1 << 61, Ended: true, AskAt: now.Add(time.Second),
			},
			{
				View: heardViewOf(invitation.ID{1: 2}), Asking: true, Renamed: true, SeenAt: now.Add(-2 * time.Second),
				Shown: []session.ShownState{{Device: "phone", Done: true}, {Device: "tablet", Told: true}},
			},
		},
		Past: []invitation.ID{otherID, sampleID}, Changes: 1 << 40, Tokens: 3.25, Filled: now.Add(-time.Hour),
		SweepAt: now.Add(time.Second), LeaveAt: now.Add(30 * time.Second),
	}},
	"session_fresh": {Session: &session.State{User: "bob", FreshAt: now.Add(time.Minute), Entries: []session.EntryState{{
		View: &invitation.View{Terms: &invitation.Terms{ID: invitation.ID{1: 1}, Caller: "carol", Device: "desk", Callee: "bob"}, Version: 1}, Whole: true,
	}}}},
	"session_recovering": {Session: &session.State{
		User:    "bob",
		Devices: []session.DeviceState{{Name: "phone", Conn: sampleConn, Stamp: 3, Attached: 1, Connected: true, Telling: now.Add(3 * time.Second)}},
		Entries: []session.EntryState{{
			View:    &invitation.View{Terms: &invitation.Terms{ID: invitation.ID{1: 1}, Caller: "bob", Device: "phone", Callee: "carol"}, Version: 1},
			Resumed: sampleResumed, EndsAt: now.Add(4 * time.Second), Asked: true,
		}},
		Claims: []session.ClaimState{{
			Word: words[0], Device: "phone", Until: now.Add(10 * time.Second), AskAt: now.Add(time.Second), Wait: 2 * time.Second,
			EndsAt: now.Add(5 * time.Second),
		}},
		Tokens: 20, Resumes: 2, FreshAt: now.Add(3 * time.Second),
	}},
	"session_in_place": {Session: &session.State{
		User: "bob", Changes: 1<<40 + 1, FreshAt: now.Add(3 * time.Second), First: 1 << 40,
	}},
	"session_patient": {Session: &session.State{
		User: "bob", CalmAt: now.Add(time.Second), Entries: []session.EntryState{{
			View:    &invitation.View{Terms: &invitation.Terms{ID: invitation.ID{1: 1}, Caller: "bob", Device: "phone", Callee: "carol"}, Version: 1},
			VouchAt: now.Add(time.Second),
		}},
	}},
	"arbiter_recovering": {Arbiter: &snapshot.Arbiter{State: arbiter.State{
		View: heardView, Denied: "tablet", Asking: true, Vouched: true, Informed: true, HoldAt: now.Add(3 * time.Second), Warned: true,
	}}},
	"event": {Event: sampleEvent},
	"outcomes": {Outcomes: []snapshot.Outcome{{
		ID: sampleID, Side: invitation.Caller, Caller: "alice", CallerDevice: "phone", Callee: "bob", CalleeDevice: "tablet",
		ChannelID: "房间-7", Outcome: invitation.Canceled, Local: invitation.LocalCanceled, Code: invitation.LocalExpire,
		Reason: invitation.CallerLoggedOut, Sent: 1_763_884_800_000_001, Ended: 1_763_884_860_000_002,
	}, {ID: otherID, Side: invitation.Callee, Caller: "bob", Callee: "alice", Outcome: invitation.Refused, Ended: 1}}},
	"arbiter_events": {Arbiter: &snapshot.Arbiter{
		State: arbiter.State{View: heardView}, Sent: now.Add(-3 * time.Second), Rang: now.Add(-2 * time.Second),
		Answered: now.Add(-time.Second), Events: 0b1000_1010,
	}},
	"arbiter_plain": {Arbiter: &snapshot.Arbiter{State: arbiter.State{View: foreverView}}},
	"arbiter": {Arbiter: &snapshot.Arbiter{
		State: arbiter.State{
			View: heardView, Deadline: now.Add(time.Second), GoneAt: now.Add(2 * time.Second), Patience: now.Add(3 * time.Second),
			LostAt: now.Add(-4 * time.Second), RetryAt: now.Add(5 * time.Millisecond), Retries: 5, Placed: true, Taken: true,
			CalleeHeard: 1 << 41, CallerOnline: true, Connected: true, Absent: true, CalleeOnline: true, CallerDone: true,
			Committed: true, Concluded: true, Confirmed: "tablet", Said: "phone", SendID: 1 << 61, CancelID: 1 << 62, AnswerID: 1 << 63,
		},
		Sent: now.Add(-100 * time.Hour), Reached: now.Add(-time.Second), Told: invitation.Confirmed,
	}},
}

func heardViewOf(id invitation.ID) *invitation.View {
	v, terms := *heardView, *heardView.Terms
	terms.ID, v.Terms = id, &terms
	return &v
}

func goldenRecord(t testing.TB, name string) []byte {
	t.Helper()
	file := filepath.Join(goldenDir, "record_"+name+".binpb")
	data, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) && *writeGolden {
		if data, err = codecAt(now).AppendRecord(nil, records[name]); err == nil {
			err = os.WriteFile(file, data, 0o644)
		}
	}
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func TestGoldenRecords(t *testing.T) {
	for name, want := range records {
		data := goldenRecord(t, name)
		got, err := codecAt(now).Record(data)
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%s: decoded %+v, %v; want %+v", name, got, err, want)
		}
		again, err := codecAt(now).AppendRecord(nil, want)
		if err != nil || len(again) != len(data) {
			t.Errorf("%s: encoded as\n%x, %v; the golden file is\n%x", name, again, err, data)
		}
		for i := range data {
			data[i] = 'x' // the buffer is used again
		}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("%s has changed to %+v", name, got)
		}
	}
}

// TestRecordsOnAnotherClock: what remains is the same where the record comes to, and what has passed has.
func TestRecordsOnAnotherClock(t *testing.T) {
	for _, theirs := range []invitation.Time{1, invitation.Time(1_500 * time.Millisecond), invitation.Time(7 * time.Hour)} {
		data, err := codecAt(now).AppendRecord(nil, records["arbiter"])
		if err != nil {
			t.Fatal(err)
		}
		r, err := codecAt(theirs).Record(data)
		if err != nil {
			t.Fatal(err)
		}
		want, got := records["arbiter"].Arbiter, r.Arbiter
		for name, at := range map[string][2]invitation.Time{
			"deadline": {want.State.Deadline, got.State.Deadline}, "gone": {want.State.GoneAt, got.State.GoneAt},
			"patience": {want.State.Patience, got.State.Patience}, "lost": {want.State.LostAt, got.State.LostAt},
			"retry": {want.State.RetryAt, got.State.RetryAt}, "sent": {want.Sent, got.Sent}, "reached": {want.Reached, got.Reached},
		} {
			if at[1].Sub(theirs) != at[0].Sub(now) {
				t.Errorf("at %d, %s: %v remain, want %v", theirs, name, at[1].Sub(theirs), at[0].Sub(now))
			}
		}
	}
}

// TestRecordRefuses: what no node writes is refused, before it gets to a machine.
func TestRecordRefuses(t *testing.T) {
	long := strings.Repeat("x", invitation.MaxResponse+1)
	ok := &peerpb.Conn{Node: "n"}
	terms := func(id byte) *peerpb.Terms {
		return &peerpb.Terms{InvitationId: append(make([]byte, 15), id), Caller: "alice", CallerDevice: "d", Callee: "bob"}
	}
	inSession := func(s *peerpb.SessionState) *peerpb.Record {
		if s.User == "" {
			s.User = "bob"
		}
		return &peerpb.Record{Record: &peerpb.Record_Session{Session: s}}
	}
	inEntry := func(e *peerpb.EntryState) *peerpb.Record {
		return inSession(&peerpb.SessionState{Entries: []*peerpb.EntryState{e}})
	}
	inArbiter := func(a *peerpb.ArbiterState) *peerpb.Record {
		if a.View == nil {
			a.View = &peerpb.View{Terms: terms(1)}
		}
		return &peerpb.Record{Record: &peerpb.Record_Arbiter{Arbiter: a}}
	}
	viewOf := func(change func(*peerpb.View)) *peerpb.View {
		v := &peerpb.View{Terms: terms(1)}
		change(v)
		return v
	}
	for name, m := range map[string]*peerpb.Record{
		"no user":          {Record: &peerpb.Record_Session{Session: &peerpb.SessionState{}}},
		"bad user":         inSession(&peerpb.SessionState{User: "*"}),
		"not a number":     inSession(&peerpb.SessionState{Tokens: math.NaN()}),
		"too many sends":   inSession(&peerpb.SessionState{Tokens: 1e12}),
		"no device":        inSession(&peerpb.SessionState{Devices: []*peerpb.DeviceState{{Conn: ok}}}),
		"no connection":    inSession(&peerpb.SessionState{Devices: []*peerpb.DeviceState{{Name: "d"}}}),
		"device twice":     inSession(&peerpb.SessionState{Devices: []*peerpb.DeviceState{{Name: "d", Conn: ok}, {Name: "d", Conn: ok}}}),
		"end":              inSession(&peerpb.SessionState{Devices: []*peerpb.DeviceState{{Name: "d", Conn: ok, Why: 1 << 20}}}),
		"many devices":     inSession(&peerpb.SessionState{Devices: make([]*peerpb.DeviceState, 1_025)}),
		"many entries":     inSession(&peerpb.SessionState{Entries: make([]*peerpb.EntryState, 65_537)}),
		"much past":        inSession(&peerpb.SessionState{Past: make([][]byte, 65_537)}),
		"bad past":         inSession(&peerpb.SessionState{Past: [][]byte{{1}}}),
		"far away":         inSession(&peerpb.SessionState{LeaveUs: new(int64(1 << 60))}),
		"no view":          inEntry(&peerpb.EntryState{}),
		"others'":          inSession(&peerpb.SessionState{User: "carol", Entries: []*peerpb.EntryState{{View: &peerpb.View{Terms: terms(1)}}}}),
		"shown to nobody":  inEntry(&peerpb.EntryState{View: &peerpb.View{Terms: terms(1)}, Shown: []*peerpb.ShownState{{}}}),
		"shown twice":      inEntry(&peerpb.EntryState{View: &peerpb.View{Terms: terms(1)}, Shown: []*peerpb.ShownState{{Device: "d"}, {Device: "d"}}}),
		"shown to many":    inEntry(&peerpb.EntryState{View: &peerpb.View{Terms: terms(1)}, Shown: make([]*peerpb.ShownState, 1_025)}),
		"out of order":     inSession(&peerpb.SessionState{Entries: []*peerpb.EntryState{{View: &peerpb.View{Terms: terms(2)}}, {View: &peerpb.View{Terms: terms(1)}}}}),
		"entry twice":      inSession(&peerpb.SessionState{Entries: []*peerpb.EntryState{{View: &peerpb.View{Terms: terms(1)}}, {View: &peerpb.View{Terms: terms(1)}}}}),
		"no terms":         inArbiter(&peerpb.ArbiterState{View: &peerpb.View{}}),
		"no callee":        inArbiter(&peerpb.ArbiterState{View: viewOf(func(v *peerpb.View) { v.Terms.Callee = "" })}),
		"to itself":        inArbiter(&peerpb.ArbiterState{View: viewOf(func(v *peerpb.View) { v.Terms.Callee = v.Terms.Caller })}),
		"long content":     inArbiter(&peerpb.ArbiterState{View: viewOf(func(v *peerpb.View) { v.Terms.Content = long })}),
		"long channel":     inArbiter(&peerpb.ArbiterState{View: viewOf(func(v *peerpb.View) { v.Terms.ChannelId = long })}),
		"long response":    inArbiter(&peerpb.ArbiterState{View: viewOf(func(v *peerpb.View) { v.Response = long })}),
		"bad choice":       inArbiter(&peerpb.ArbiterState{View: viewOf(func(v *peerpb.View) { v.Chosen = "*" })}),
		"bad confirmation": inArbiter(&peerpb.ArbiterState{Confirmed: "*"}),
		"bad word":         inArbiter(&peerpb.ArbiterState{Said: "*"}),
		"many retries":     inArbiter(&peerpb.ArbiterState{Retries: 64}),
		"very many":        inArbiter(&peerpb.ArbiterState{Retries: 1 << 20}),
		"long ago":         inArbiter(&peerpb.ArbiterState{SentUs: new(int64(-1 << 60))}),
		"past of no shard": {Record: &peerpb.Record_Past{Past: append([]byte{0xff}, make([]byte, 15)...)}},
		"no past":          {Record: &peerpb.Record_Past{}},
		"some shards":      {Record: &peerpb.Record_Lost{Lost: &peerpb.ShardsLost{Shards: []byte{1}}}},
		"lost long ago":    {Record: &peerpb.Record_Lost{Lost: &peerpb.ShardsLost{AtUs: -1 << 60}}},
	} {
		if got, err := codecAt(now).Record(marshal(t, m)); !errors.Is(err, peerwire.ErrMalformed) || got != nil {
			t.Errorf("%s: got %+v, %v", name, got, err)
		}
	}
	if _, err := codecAt(now).Record([]byte{0xff}); !errors.Is(err, peerwire.ErrMalformed) {
		t.Errorf("garbage: %v", err)
	}
	newer := protowire.AppendBytes(protowire.AppendTag(nil, 999, protowire.BytesType), []byte("new"))
	for name, data := range map[string][]byte{
		"record": newer,
		"stage":  marshal(t, inArbiter(&peerpb.ArbiterState{Told: 99})),
	} {
		if _, err := codecAt(now).Record(data); !errors.Is(err, cluster.ErrUnknown) {
			t.Errorf("a newer %s: %v", name, err)
		}
	}
	if got, err := codecAt(now).Record(append(goldenRecord(t, "arbiter"), newer...)); err != nil || !reflect.DeepEqual(got, records["arbiter"]) {
		t.Errorf("with a new field: %+v, %v", got, err)
	}
}

// TestRecordsThatCannotBe are mistakes of the program.
func TestRecordsThatCannotBe(t *testing.T) {
	for name, r := range map[string]*snapshot.Record{
		"nothing":  {},
		"no view":  {Arbiter: &snapshot.Arbiter{}},
		"no entry": {Session: &session.State{User: "u", Entries: make([]session.EntryState, 1)}},
		"no node":  {Session: &session.State{User: "u", Devices: []session.DeviceState{{Name: "d"}}}},
	} {
		if out, err := codecAt(now).AppendRecord([]byte("x"), r); err == nil || string(out) != "x" {
			t.Errorf("%s: encoded as %x, %v", name, out, err)
		}
	}
}

func momentGen(t *rapid.T, label string) invitation.Time {
	if rapid.Bool().Draw(t, "no "+label) {
		return 0
	}
	at := now.Add(durations.Draw(t, label))
	if at == 0 {
		at++
	}
	return at
}

func keptViewGen(t *rapid.T, id invitation.ID, caller, callee invitation.User) *invitation.View {
	v := viewGen(t)
	v.Terms.ID, v.Terms.Caller, v.Terms.Callee = id, caller, callee
	v.Chosen = rapid.OneOf(rapid.Just(invitation.Device("")), devices).Draw(t, "chosen device")
	return v
}

func recordGen(t *rapid.T) *snapshot.Record {
	flag := func(label string) bool { return rapid.Bool().Draw(t, label) }
	number := func(label string) uint64 { return rapid.Uint64().Draw(t, label) }
	switch rapid.IntRange(0, 2).Draw(t, "record") {
	case 0:
		return &snapshot.Record{Past: ids.Draw(t, "id")}
	case 1:
		none := rapid.OneOf(rapid.Just(invitation.Device("")), devices)
		return &snapshot.Record{Arbiter: &snapshot.Arbiter{
			State: arbiter.State{
				View: keptViewGen(t, ids.Draw(t, "id"), "alice", "bob"), Deadline: momentGen(t, "deadline"), GoneAt: momentGen(t, "gone"),
				Patience: momentGen(t, "patience"), LostAt: momentGen(t, "lost"), RetryAt: momentGen(t, "retry"),
				Retries: rapid.Uint8Range(0, 16).Draw(t, "retries"), Placed: flag("placed"), Taken: flag("taken"), CalleeHeard: number("heard"),
				CallerOnline: flag("caller"), Connected: flag("connected"), Absent: flag("absent"), CalleeOnline: flag("callee"),
				CallerDone: flag("done"), Committed: flag("committed"), Concluded: flag("concluded"),
				Confirmed: none.Draw(t, "confirmed"), Said: none.Draw(t, "said"),
				SendID: number("send"), CancelID: number("cancel"), AnswerID: number("answer"),
			},
			Sent: momentGen(t, "sent"), Reached: momentGen(t, "reached"),
			Told: invitation.Stage(rapid.IntRange(0, invitation.Stages-1).Draw(t, "told")),
		}}
	}
	s := &session.State{
		User: "bob", Changes: number("changes"), Tokens: rapid.Float64Range(0, 100).Draw(t, "tokens"), Filled: momentGen(t, "filled"),
		SweepAt: momentGen(t, "sweep"), LeaveAt: momentGen(t, "leave"),
	}
	for i := range rapid.IntRange(0, 3).Draw(t, "devices") {
		s.Devices = append(s.Devices, session.DeviceState{
			Name: invitation.Device("d" + string(rune('0'+i))), Conn: session.Conn{Node: namesGen.Draw(t, "node"), Number: number("conn")},
			Stamp: number("stamp"), Attached: number("attached"), Connected: flag("connected"), Since: momentGen(t, "lost"),
			Why: invitation.End(rapid.Uint16().Draw(t, "why")), Until: momentGen(t, "until"),
		})
	}
	for i := range rapid.IntRange(0, 3).Draw(t, "entries") {
		users := [2]invitation.User{"alice", "bob"}
		if flag("outgoing") {
			users[0], users[1] = users[1], users[0]
		}
		e := session.EntryState{
			View: keptViewGen(t, invitation.ID{2: byte(i + 1)}, users[0], users[1]), Answered: flag("answered"), Withdrawn: flag("withdrawn"),
			SendID: number("send"), Ended: flag("ended"), Asking: flag("asking"), Renamed: flag("renamed"),
			SeenAt: momentGen(t, "seen"), AskAt: momentGen(t, "ask"),
		}
		for k := range rapid.IntRange(0, 2).Draw(t, "shown") {
			e.Shown = append(e.Shown, session.ShownState{Device: invitation.Device("d" + string(rune('0'+k))), Done: flag("done"), Told: flag("told")})
		}
		s.Entries = append(s.Entries, e)
	}
	for range rapid.IntRange(0, 3).Draw(t, "past") {
		s.Past = append(s.Past, ids.Draw(t, "past id"))
	}
	return &snapshot.Record{Session: s}
}

func TestRecordRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want := recordGen(t)
		data, err := codecAt(now).AppendRecord(nil, want)
		if err != nil {
			t.Fatal(err)
		}
		got, err := codecAt(now).Record(data)
		if err != nil {
			t.Fatal(err)
		}
		// In whole microseconds, the same.
		again, err := codecAt(now).AppendRecord(nil, got)
		if err != nil || !reflect.DeepEqual(remade(t, again), got) || got.Shard() != want.Shard() {
			t.Fatalf("%+v arrives as %+v, %v", want, got, err)
		}
		one, other := new(peerpb.Record), new(peerpb.Record)
		if err := errors.Join(proto.Unmarshal(data, one), proto.Unmarshal(again, other)); err != nil || !proto.Equal(one, other) {
			t.Fatalf("%v is encoded again as %v, %v", one, other, err)
		}
	})
}

func remade(t *rapid.T, data []byte) *snapshot.Record {
	r, err := codecAt(now).Record(data)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func FuzzRecord(f *testing.F) {
	for name := range records {
		data := goldenRecord(f, name)
		f.Add(data)
		f.Add(data[:len(data)/2])
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		codec := codecAt(now)
		got, err := codec.Record(data)
		if err != nil {
			if !errors.Is(err, peerwire.ErrMalformed) && !errors.Is(err, cluster.ErrUnknown) {
				t.Fatalf("an untyped error: %v", err)
			}
			return
		}
		again, err := codec.AppendRecord(nil, got)
		if err != nil {
			t.Fatalf("%+v does not encode: %v", got, err)
		}
		if twice, err := codec.Record(again); err != nil || !reflect.DeepEqual(twice, got) {
			t.Fatalf("%+v arrives as %+v, %v", got, twice, err)
		}
		live(got)
	})
}

// live restores a machine of a record and lets it do something: it must not panic.
func live(r *snapshot.Record) {
	switch c := session.DefaultConfig.WithDefaults(); {
	case r.Session != nil:
		m := session.Restore(*r.Session, &c)
		m.Step(now, &session.Input{Kind: session.InTick}, nil)
		m.Step(now, &session.Input{Kind: session.InResend}, nil)
		m.Merge(now, *r.Session, nil)
	case r.Arbiter != nil:
		m := arbiter.Restore(r.Arbiter.State)
		for kind := range invitation.MessageKind(invitation.MessageKinds) {
			terms := m.View().Terms
			m.Step(now, &invitation.Message{Kind: kind, ID: terms.ID, User: terms.Callee, Terms: terms}, nil)
		}
		m.Merge(now, r.Arbiter.State, nil)
	}
}
