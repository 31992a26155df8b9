package session

import (
	"cmp"
	"slices"
	"time"

	"github.com/ringfleet/ringfleet/invitation"
)

// State is all that a [Machine] knows, so that it can go on elsewhere: [Machine.State] takes it, [Restore]
// makes a machine of it. It shares nothing with a machine that changes: views and terms never do. Its
// points in time are those of the machine's node.
type State struct {
	User    invitation.User
	Devices []DeviceState
	Entries []EntryState    // in the order of their ids
	Past    []invitation.ID // ended invitations, the oldest first
	Changes uint64          // of presence, counted
	Tokens  float64         // sends that could be made at once
	Filled  Time            // when Tokens was right; 0: they were never used
	SweepAt Time            // no entry's AskAt is earlier
	LeaveAt Time            // when an idle session leaves; 0: it is not idle
	Claims  []ClaimState    // the oldest first
	Resumes int             // sends that were made again, beside the rate
	FreshAt Time            // until when devices may know what a lost session knew; 0: none was lost
	First   uint64          // the first number of Changes; 0: none was lost
	CalmAt  Time            // until when that another session numbered changes higher is answered with patience
}

// ClaimState is a device's word about an invitation that the session does not know.
type ClaimState struct {
	Word   invitation.Word
	Device invitation.Device
	Until  Time // when it is given up
	AskAt  Time // when the arbiter is asked again
	Wait   time.Duration
	EndsAt Time // when what the word says ends by itself; 0: not said
}

// DeviceState is a device of the user, connected or lost.
type DeviceState struct {
	Name      invitation.Device
	Conn      Conn
	Stamp     uint64 // of its login
	Attached  uint64 // the number of the change that it connected by
	Connected bool
	Since     Time           // since when it is lost, or connected: then 0 if that is not known
	Why       invitation.End // why its login is over, while its last word is awaited; else 0
	Until     Time           // until when that is
	Telling   Time           // until when it has not said yet what it knows; 0: it has
}

// EntryState is an invitation that the session knows. On which side of it the user is, its terms say.
type EntryState struct {
	View      *invitation.View
	Answered  bool // caller: the send has been answered
	Withdrawn bool // caller: it is to be canceled once it has been
	SendID    uint64
	Ended     bool // caller: the sending device has said its last word
	Asking    bool // a question to the arbiter is unanswered
	Renamed   bool // and did not tell of the chosen device
	Shown     []ShownState
	SeenAt    Time
	AskAt     Time
	Resumed   *invitation.Resumed // caller: the send was a repeated one
	EndsAt    Time                // when the state that it tells ends by itself
	VouchAt   Time                // until when an outdated view is no reason to tell the arbiter what is known here
	Asked     bool                // caller: its arbiter recovers, and waits for the sending device
	Whole     bool                // callee: nobody was shown it but by this session
}

// ShownState is a device that was shown an incoming invitation.
type ShownState struct {
	Device invitation.Device
	Done   bool // it has said its last word
	Told   bool // the commit
}

// State returns what the machine knows. O(n) for n invitations.
func (m *Machine) State() State {
	s := State{
		User: m.user, Changes: m.changes, Tokens: m.tokens, Filled: m.filled, SweepAt: m.sweepAt, LeaveAt: m.leaveAt,
		Resumes: int(m.resumes), FreshAt: m.freshAt, First: m.first, CalmAt: m.calmAt,
		Past: m.past.list(),
	}
	for _, d := range m.devices {
		s.Devices = append(s.Devices, DeviceState{
			Name: d.name, Conn: d.conn, Stamp: d.stamp, Attached: d.attached, Connected: d.connected, Since: d.since,
			Why: d.why, Until: d.until, Telling: d.telling,
		})
	}
	for _, c := range m.claims {
		s.Claims = append(s.Claims, ClaimState{Word: c.word, Device: c.device, Until: c.until, AskAt: c.askAt, Wait: c.wait, EndsAt: c.endsAt})
	}
	for _, e := range m.entries {
		s.Entries = append(s.Entries, e.state())
	}
	return s
}

func (e *entry) state() EntryState {
	s := EntryState{
		View: e.view, Answered: e.answered, Withdrawn: e.withdrawn, SendID: e.sendID, Ended: e.ended, Asking: e.asking,
		Renamed: e.renamed, SeenAt: e.seenAt, AskAt: e.askAt, Asked: e.asked, VouchAt: e.vouchAt,
		Whole: e.whole,
	}
	if r := e.resumed; r != nil {
		s.Resumed, s.EndsAt = &r.Resumed, r.endsAt
	}
	for _, shown := range e.shown {
		s.Shown = append(s.Shown, ShownState{Device: shown.device, Done: shown.done, Told: shown.told})
	}
	return s
}

// Restore returns a machine that goes on where the one that s was taken of was. Of config and options see
// [New]; they may be others than that machine's, and hold from now on. An entry that is not the user's,
// or has no view or terms, is left out.
func Restore(s State, config *Config, options ...Option) *Machine {
	m := New(s.User, config, options...)
	m.changes, m.tokens, m.filled, m.sweepAt, m.leaveAt = s.Changes, s.Tokens, s.Filled, s.SweepAt, s.LeaveAt
	m.resumes, m.freshAt, m.first, m.calmAt = int32(s.Resumes), s.FreshAt, s.First, s.CalmAt
	for _, c := range s.Claims {
		m.claims = append(m.claims, claim{word: c.Word, device: c.Device, until: c.Until, askAt: c.AskAt, wait: c.Wait, endsAt: c.EndsAt})
	}
	if n := len(s.Past); n > 0 {
		m.past = &history{ids: slices.Clone(s.Past[max(0, n-config.Remember):])}
	}
	for _, d := range s.Devices {
		m.devices = append(m.devices, d.device())
	}
	for i := range s.Entries {
		if e := s.Entries[i].entry(s.User); e != nil && m.entry(e.view.Terms.ID) == nil {
			m.add(e)
		}
	}
	return m
}

func (d *DeviceState) device() device {
	return device{
		name: d.Name, conn: d.Conn, stamp: d.Stamp, attached: d.Attached, connected: d.Connected, since: d.Since,
		why: d.Why, until: d.Until, telling: d.Telling,
	}
}

// entry returns nil for what cannot be one of user's.
func (s *EntryState) entry(user invitation.User) *entry {
	if s.View == nil || s.View.Terms == nil {
		return nil
	}
	e := &entry{
		view: s.View, answered: s.Answered, withdrawn: s.Withdrawn, sendID: s.SendID, ended: s.Ended, asking: s.Asking,
		renamed: s.Renamed, seenAt: s.SeenAt, askAt: s.AskAt, asked: s.Asked, vouchAt: s.VouchAt,
		whole: s.Whole,
	}
	if s.Resumed != nil {
		e.resumed = &resumed{*s.Resumed, s.EndsAt}
	}
	switch user {
	case s.View.Terms.Caller:
		e.side = invitation.Caller
	case s.View.Terms.Callee:
		e.side = invitation.Callee
	default:
		return nil
	}
	for _, shown := range s.Shown {
		e.shown = append(e.shown, showing{device: shown.Device, done: shown.Done, told: shown.Told})
	}
	return e
}

// Merge takes the state of another machine of the same user: while the nodes' views disagreed, two nodes
// each had one, and now one of them goes on alone. It appends what is to be done to out.
//
// The reasoning: each of the two has told devices and arbiters things, and each was told some. What
// either knows for certain the merged one must know, so that nothing is asked anew, and no device goes
// on ringing for a session that forgot it; of what is not certain the arbiters are asked.
//
//   - Devices: the newest login under a name counts, and of one login the connection that lives. The
//     other connection is told: of an earlier login that it was replaced; of the same login to connect
//     again, as which of two is the newer is not known. What an earlier login sent, and the later one
//     knows nothing of, is canceled, as it is when both logins come to one session. With the policy
//     Single the newest login of all stays.
//   - Invitations: those of both. Of one that both know, the view with the higher version counts; a
//     device was shown it, was told the commit, and has said its last word, if either knows that. Its
//     devices are told how it stands, but not that it rings: that takes a permit.
//   - Presence: the number of its last change becomes higher than either's, so that the arbiters take
//     this report and not a late one of before; and all devices count as connected by that change, so
//     that nothing is shown to them by an arbiter's answer to a question of before.
//   - Sends that either took count for the rate.
//
// An invitation that one of them has seen settled, and of which a device's word is awaited with the
// other one, stays: its arbiter, or that there is none, ends it.
func (m *Machine) Merge(now Time, s State, out []Effect) []Effect {
	other := Restore(s, m.config, Option{noTimer: m.noTimer})
	back := m.cameBack(other)
	m.changes = max(m.changes, other.changes) + 1 + uint64(min(1, len(back)))
	m.mergeTokens(now, other)
	m.resumes, m.freshAt = max(m.resumes, other.resumes), max(m.freshAt, other.freshAt)
	m.calmAt, m.first = max(m.calmAt, other.calmAt), max(m.first, other.first)
	ours, theirs := slices.Clone(m.devices), slices.Clone(other.devices)
	out = m.mergeDevices(now, other, out)
	m.unshowStale(ours)
	other.dropStale(m, theirs)
	known := m.mergeEntries(other)
	m.mergePast(other)
	out = m.mergeClaims(now, other, out)
	for _, e := range known {
		for i := range m.devices {
			if d := &m.devices[i]; e.side == invitation.Caller && e.view.Terms.Device == d.name && e.answered && e.view.Version != 0 ||
				e.side == invitation.Callee && e.rings(d.name) && e.view.Stage > invitation.Ringing {
				out = m.notify(now, e, d, out)
			}
		}
	}
	out = m.reportBack(back, m.cancelWithdrawn(out))
	out = m.release(now, m.keepNewest(now, m.reportAll(now, out)))
	m.idle(now)
	return out
}

// cameBack returns the devices that either session has lost, but not at the same time: they were back between.
func (m *Machine) cameBack(other *Machine) []invitation.Device {
	var back []invitation.Device
	for _, theirs := range other.devices {
		if ours := m.device(theirs.name); ours != nil && !ours.connected && !theirs.connected && ours.since != theirs.since {
			back = append(back, ours.name)
		}
	}
	return back
}

// reportBack tells the arbiters that await the word of a device that it was there, before they are told that it is away: one
// of them has heard of its first loss only, and would give up when that is longer ago than the grace.
func (m *Machine) reportBack(back []invitation.Device, out []Effect) []Effect {
	for _, e := range m.entries {
		if e.side == invitation.Callee && slices.Contains(back, e.view.Chosen) && !e.view.Verdict {
			out = append(out, m.message(&invitation.Message{
				Kind: invitation.MsgCallee, ID: e.view.Terms.ID, Online: true, Chosen: e.view.Chosen, Connected: true, Permit: m.changes - 1,
			}))
		}
	}
	return out
}

// mergeTokens makes the sends that either session took count.
func (m *Machine) mergeTokens(now Time, other *Machine) {
	burst := float64(m.config.SendBurst)
	left := func(m *Machine) float64 { return min(burst, m.tokens+now.Sub(m.filled).Seconds()*m.config.SendRate) }
	m.tokens, m.filled = max(0, left(m)+left(other)-burst), now
}

// mergeDevices takes the devices of other, and makes both forget what a login that a later one
// supersedes was doing.
func (m *Machine) mergeDevices(now Time, other *Machine, out []Effect) []Effect {
	for _, theirs := range slices.Clone(other.devices) {
		ours := m.device(theirs.name)
		if ours != nil && ours.conn == theirs.conn && ours.stamp != theirs.stamp { // one login, that was numbered by both
			ours.stamp = max(ours.stamp, theirs.stamp)
			ours.telling = now.Add(tellTime)
			theirs.stamp, theirs.telling = ours.stamp, ours.telling
			if ours.connected || theirs.connected {
				out = append(out, welcome(now, ours)) // it knows one of the two numbers
			}
		}
		switch {
		case ours == nil:
			m.devices = append(m.devices, theirs)
		case theirs.stamp > ours.stamp:
			out = m.supersede(now, ours, other, out)
			*ours = theirs
		case theirs.stamp < ours.stamp:
			out = other.supersede(now, other.device(theirs.name), m, out)
		case theirs.connected && !ours.connected:
			*ours = theirs
		case theirs.connected && theirs.conn != ours.conn:
			out = append(out, end(theirs.conn, invitation.EndInternal))
		case !theirs.connected && !ours.connected:
			ours.since = max(ours.since, theirs.since)
		}
	}
	for i := range m.devices {
		m.devices[i].attached = m.changes
	}
	return out
}

// unshowStale forgets what a device was shown here on another connection than the one that goes on, which was
// attached elsewhere: it said there what it was shown.
func (m *Machine) unshowStale(before []device) { m.dropStale(m, before) }

func (m *Machine) dropStale(merged *Machine, before []device) {
	for _, old := range before {
		d := merged.device(old.name)
		if d == nil || d.conn == old.conn {
			continue
		}
		for _, e := range m.entries {
			e.shown = slices.DeleteFunc(e.shown, func(s showing) bool {
				return s.device == old.name && !s.done && !s.told && e.view.Chosen != old.name
			})
		}
	}
}

// supersede ends the earlier login d, of which later knows a newer one: as [Machine.restart] does, but
// that what later knows too is left alone.
func (m *Machine) supersede(now Time, d *device, later *Machine, out []Effect) []Effect {
	if d.connected {
		out = append(out, end(d.conn, invitation.EndReplaced))
	}
	for _, e := range m.entries {
		switch known := later.entry(e.view.Terms.ID); {
		case e.side == invitation.Callee && e.view.Chosen != d.name:
			out = m.unshow(now, e, d.name, out)
		case e.side == invitation.Caller && e.view.Terms.Device == d.name && known == nil && e.view.Stage != invitation.Ended:
			e.withdrawn = true
		}
	}
	return out
}

// mergeEntries takes the invitations of other, and returns those that both know.
func (m *Machine) mergeEntries(other *Machine) []*entry {
	var both []*entry
	for _, theirs := range slices.Clone(other.entries) {
		id := theirs.view.Terms.ID
		switch ours := m.entry(id); {
		case ours != nil:
			m.mergeEntry(ours, theirs)
			both = append(both, ours)
		case m.remembers(id) && theirs.spent():
		default:
			m.add(theirs)
		}
	}
	m.sweepAt = invitation.Earliest(m.sweepAt, other.sweepAt)
	return both
}

// mergeClaims takes what devices said to other about invitations that it does not know. What this one knows it
// hears now.
func (m *Machine) mergeClaims(now Time, other *Machine, out []Effect) []Effect {
	theirs := slices.DeleteFunc(slices.Clone(other.claims), func(c claim) bool { // what a login said that is over
		ours, their := m.device(c.device), other.device(c.device)
		return c.word.Kind != invitation.WordDone && ours != nil && their != nil && their.stamp < ours.stamp
	})
	for _, c := range slices.Concat(m.claims, theirs) {
		m.claims = slices.DeleteFunc(m.claims, func(o claim) bool {
			return o.word.ID == c.word.ID && o.word.Side == c.word.Side && o.device == c.device
		})
		if e := m.entry(c.word.ID); e == nil && !m.remembers(c.word.ID) {
			m.claims = append(m.claims, c)
		} else if d := m.device(c.device); d != nil && d.connected {
			out = m.about(now, &Input{Kind: InWord, Device: c.device, Conn: d.conn, Word: &c.word}, out)
		}
	}
	if most := m.config.MaxOutgoing + m.config.MaxIncoming; len(m.claims) > most {
		m.claims = m.claims[len(m.claims)-most:]
	}
	return out
}

func (m *Machine) mergeEntry(ours, theirs *entry) {
	if theirs.view.Version > ours.view.Version {
		ours.renamed = ours.renamed || theirs.view.Chosen != ours.view.Chosen
		m.see(ours, theirs.view)
	}
	ours.whole = false
	ours.answered = ours.answered || theirs.answered
	ours.withdrawn = ours.withdrawn || theirs.withdrawn
	ours.sendID = cmp.Or(ours.sendID, theirs.sendID)
	ours.ended = ours.ended || theirs.ended
	ours.asking = ours.asking || theirs.asking
	ours.renamed = ours.renamed || theirs.renamed
	ours.asked = ours.asked || theirs.asked
	if their := theirs.resumed; ours.resumed == nil {
		ours.resumed = their
	} else if their != nil {
		ours.resumed = &resumed{ours.resumed.Resumed, invitation.Earliest(ours.resumed.endsAt, their.endsAt)}
	}
	ours.seenAt = invitation.Earliest(ours.seenAt, theirs.seenAt)
	ours.askAt = invitation.Earliest(ours.askAt, theirs.askAt)
	for _, their := range theirs.shown {
		our, d := ours.showing(their.device), m.device(their.device)
		switch {
		case our != nil:
			our.done, our.told = our.done || their.done, our.told || their.told
		case d != nil && d.why != 0 && !their.done && !their.told: // its login is over: see unshow
		default:
			ours.shown = append(ours.shown, their)
		}
	}
}

// mergePast remembers what other remembers, as older than what this one does.
func (m *Machine) mergePast(other *Machine) {
	ours := m.past.list()
	m.past = nil
	for _, id := range other.past.list() {
		if !slices.Contains(ours, id) && m.entry(id) == nil {
			m.remember(id)
		}
	}
	for _, id := range ours {
		if m.entry(id) == nil {
			m.remember(id)
		}
	}
	if m.past != nil {
		m.past = &history{ids: m.past.list()}
	}
}

// cancelWithdrawn cancels what one of two sessions knew to be withdrawn, and one to be answered.
func (m *Machine) cancelWithdrawn(out []Effect) []Effect {
	for _, e := range m.entries {
		if e.side == invitation.Caller && e.withdrawn && e.answered && e.view.Stage != invitation.Ended {
			out = append(out, m.message(&invitation.Message{
				Kind: invitation.MsgCancel, ID: e.view.Terms.ID, Device: e.view.Terms.Device, Reason: invitation.CallerLoggedOut,
			}))
		}
	}
	return out
}

// keepNewest ends the devices that are too many: with the policy Single all but the newest login, else
// those over the bound, first the ones that are away, then the oldest logins.
func (m *Machine) keepNewest(now Time, out []Effect) []Effect {
	if m.config.Policy == Single {
		newest := -1
		for i := range m.devices {
			if m.devices[i].why == 0 && !m.devices[i].agent() && (newest < 0 || m.devices[i].stamp > m.devices[newest].stamp) {
				newest = i
			}
		}
		if newest >= 0 {
			out = m.endOthers(now, m.devices[newest].name, out)
		}
		return out
	}
	for n := m.seats(); n > m.config.MaxDevices; n = m.seats() {
		if out = m.makeRoom(now, out); m.seats() == n {
			own := slices.DeleteFunc(slices.Clone(m.devices), func(d device) bool { return d.agent() })
			oldest := slices.MinFunc(own, func(a, b device) int { return cmp.Compare(a.stamp, b.stamp) })
			out = m.depart(now, oldest.name, invitation.EndTooMany, out)
		}
	}
	return out
}
