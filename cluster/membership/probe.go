package membership

import (
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"time"

	"github.com/hashicorp/memberlist"
	"google.golang.org/protobuf/proto"

	"github.com/ringfleet/ringfleet/messages/peerpb"
)

const (
	// helpers is how many other members are asked whether they reach one.
	helpers = 3
	// chances are the rounds of probes that a node may leave unanswered before it counts as dead, moreChances how many
	// more at most while this node is doubtful of itself. maxChances bounds them with those that do not count, as they
	// took lateBy longer than they should.
	chances     = 2
	moreChances = 2
	maxChances  = 8
	lateBy      = 100 * time.Millisecond
	// maxHelping is how many such questions are answered at once; further ones are dropped, and the asker
	// has two others.
	maxHelping = 16
)

// errContested is the evidence against a member whose name another node claims, too.
var errContested = errors.New("another node has this name")

// Evidence says that something speaks for the death of a member: a connection that was refused or that
// broke. The member is probed at once; if nobody reaches it, it is out of the view. boot says which start
// of it is meant; 0 stands for the one in the view. It does not wait, and may be called as often as there is
// evidence.
func (m *Membership) Evidence(name string, boot uint64, cause error) {
	m.mu.Lock()
	gossip, ok := m.roster.find(name, boot)
	m.mu.Unlock()
	if ok {
		m.examine(gossip, cause)
	}
}

// examine probes a node, unless that is under way.
func (m *Membership) examine(gossip string, cause error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	e := m.roster.others[gossip]
	if e == nil || m.probing[gossip] || m.ctx.Err() != nil {
		return
	}
	m.probing[gossip] = true
	address := e.member.Gossip
	m.running.Go(func() {
		alive := m.reach(gossip, address)
		if m.ctx.Err() == nil {
			m.conclude(gossip, alive, cause)
		}
	})
}

// reach reports whether a node answers this one, or one of some others. A node that did not get a processor in time
// looks like a dead one, so it has a second chance, and more of them while this node is doubtful of itself: it misses
// answers of others, too (memberlist's awareness), or was itself so late that it says nothing that none has come.
func (m *Membership) reach(gossip, address string) bool {
	due := 2*m.config.Timing.ProbeTimeout + lateBy
	for round, silent := 0, 0; silent < chances+min(m.list.GetHealthScore(), moreChances) && round < maxChances; round++ {
		began := time.Now()
		if m.reachOnce(gossip, address) {
			return true
		}
		if time.Since(began) < due {
			silent++
		}
	}
	return false
}

// reachOnce is one round of it.
func (m *Membership) reachOnce(gossip, address string) bool {
	late := time.NewTimer(2 * m.config.Timing.ProbeTimeout)
	defer late.Stop()
	number, answers, asked := m.ask(gossip, address)
	defer m.forget(number)
	if m.ping(gossip, address) {
		return true
	}
	for range asked {
		select {
		case reached := <-answers:
			if reached {
				return true
			}
		case <-late.C:
			return false
		case <-m.ctx.Done():
			return true // nobody will hear the verdict
		}
	}
	return false
}

// ping probes a node, for at most the probe timeout.
func (m *Membership) ping(gossip, address string) bool {
	m.mu.Lock()
	m.stats.Probes++
	m.mu.Unlock()
	udp, err := net.ResolveUDPAddr("udp", address) // an IP:port, so nothing is looked up
	if err != nil {
		return false
	}
	_, err = m.list.Ping(gossip, udp)
	return err == nil
}

// conclude takes the result of a probe.
func (m *Membership) conclude(gossip string, alive bool, cause error) {
	m.mu.Lock()
	delete(m.probing, gossip)
	changed := m.roster.judge(gossip, !alive)
	switch {
	case changed && alive:
		m.stats.Revivals++
	case changed:
		m.stats.Verdicts++
	}
	conflict := alive && errors.Is(cause, errContested)
	var rival string
	told := m.conflict
	if e := m.roster.others[gossip]; conflict && e != nil {
		rival = e.member.Name
		conflict = rival == m.config.Name && e.member.Boot < m.config.Boot
		m.conflict = m.conflict || conflict
	}
	m.mu.Unlock()
	switch {
	case changed && alive:
		m.config.Logger.Info("member answers again", slog.String("gossip", gossip))
	case changed:
		m.config.Logger.Warn("member does not answer", slog.String("gossip", gossip), slog.Any("evidence", cause))
	case conflict && !told:
		m.tellConflict(gossip)
	case rival != "" && alive:
		m.once.Log(slog.LevelWarn, "name "+gossip, "a node claims a name that is in use, and is ignored",
			slog.String("member", rival), slog.String("in_use_by", gossip))
	}
	if changed {
		hint(m.changed)
	}
}

// tellConflict says that this node cannot be a member.
func (m *Membership) tellConflict(gossip string) {
	err := fmt.Errorf("membership: the name %s is in use by %s, which answers: give this node another name, or stop that one",
		m.config.Name, gossip)
	m.config.Logger.Error("this node is in no view", slog.Any("error", err))
	if m.config.OnConflict != nil {
		m.config.OnConflict(err)
	}
}

// lookAgain probes those who were judged dead, and those who have a rival.
func (m *Membership) lookAgain() {
	m.mu.Lock()
	judged := m.roster.judged()
	_, contested := m.roster.members()
	m.mu.Unlock()
	for _, gossip := range judged {
		m.examine(gossip, errors.New("judged before"))
	}
	for _, gossip := range contested {
		m.examine(gossip, errContested)
	}
}

// ask asks some others whether they reach a node, and returns how many.
func (m *Membership) ask(gossip, address string) (number uint64, answers chan bool, asked int) {
	m.mu.Lock()
	m.asked++
	number = m.asked
	answers = make(chan bool, helpers)
	m.waiting[number] = answers
	from := m.roster.self.Gossip
	var others []memberlist.Address
	for name, e := range m.roster.others {
		if name != gossip && !e.judged {
			others = append(others, memberlist.Address{Addr: e.member.Gossip, Name: name})
		}
	}
	m.mu.Unlock()
	rand.Shuffle(len(others), func(i, j int) { others[i], others[j] = others[j], others[i] })
	for _, other := range others[:min(len(others), helpers)] {
		err := m.tell(other, &peerpb.GossipMessage{Message: &peerpb.GossipMessage_Probe{Probe: &peerpb.Probe{
			Number: number, GossipName: gossip, GossipAddress: address, FromName: m.gossip, FromAddress: from,
		}}})
		if err == nil {
			asked++
		}
	}
	return number, answers, asked
}

func (m *Membership) forget(number uint64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.waiting, number)
}

func (m *Membership) tell(to memberlist.Address, message *peerpb.GossipMessage) error {
	data, err := proto.Marshal(message)
	if err != nil {
		return fmt.Errorf("membership: encode a message: %w", err)
	}
	return m.list.SendToAddress(to, data)
}

// take takes what another node asks or answers. It keeps nothing of data.
func (m *Membership) take(data []byte) {
	var message peerpb.GossipMessage
	if len(data) > 2*maxMeta || proto.Unmarshal(data, &message) != nil {
		m.once.Log(slog.LevelWarn, "gossip message", "gossip: a message that is none was dropped")
		return
	}
	switch p := message.GetMessage().(type) {
	case *peerpb.GossipMessage_Probe:
		m.help(p.Probe)
	case *peerpb.GossipMessage_ProbeAnswer:
		m.mu.Lock()
		answers := m.waiting[p.ProbeAnswer.GetNumber()]
		m.mu.Unlock()
		select {
		case answers <- p.ProbeAnswer.GetReached(): // never, when nobody waits
		default:
		}
	}
}

// help answers whether this node reaches another one. It asks only those it knows, so that nobody can use it to
// send packets elsewhere.
func (m *Membership) help(p *peerpb.Probe) {
	m.mu.Lock()
	defer m.mu.Unlock()
	target, asker := m.roster.others[p.GetGossipName()], m.roster.others[p.GetFromName()]
	if asker == nil || m.helping >= maxHelping || m.ctx.Err() != nil {
		return
	}
	to := memberlist.Address{Addr: asker.member.Gossip, Name: p.GetFromName()}
	address := ""
	if target != nil {
		address = target.member.Gossip
	}
	m.helping++
	m.running.Go(func() {
		reached := address != "" && m.ping(p.GetGossipName(), address)
		_ = m.tell(to, &peerpb.GossipMessage{Message: &peerpb.GossipMessage_ProbeAnswer{ // if it is lost, the asker has others
			ProbeAnswer: &peerpb.ProbeAnswer{Number: p.GetNumber(), Reached: reached},
		}})
		m.mu.Lock()
		m.helping--
		m.mu.Unlock()
	})
}
