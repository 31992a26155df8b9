package chaos

import (
	"fmt"
	"math"
	"math/rand/v2"
	"time"
)

// Fault is one entry of a schedule.
type Fault struct {
	N    int // from 1
	Kind Kind
	Node int // which; all others are well, but for All
	// Wait is from when everything was well again after the fault before.
	Wait time.Duration
	// Lasts is until the fault is ended: the node started again, continued, reached again. 0 is at once.
	Lasts time.Duration
	// Hears is of OneWay: the node hears the others and is not heard; else it is heard and hears nothing.
	Hears bool
	// Offset is of Clock: by how much the wall clock is wrong.
	Offset time.Duration
}

// String tells the fault in a few words.
func (f Fault) String() string {
	text := fmt.Sprintf("#%d %v of node %d", f.N, f.Kind, f.Node+1)
	switch f.Kind {
	case All:
		return fmt.Sprintf("#%d kill of all nodes", f.N)
	case OneWay:
		text += map[bool]string{true: ", which is not heard", false: ", which hears nothing"}[f.Hears]
	case Clock:
		return text + fmt.Sprintf(", wrong by %v from now on", f.Offset)
	default:
	}
	if f.Lasts > 0 {
		text += fmt.Sprintf(" for %v", f.Lasts)
	}
	return text
}

// ScheduleConfig says what a schedule is drawn from.
type ScheduleConfig struct {
	Seed    uint64
	Nodes   int // 1 or more
	Weights Weights
	// Every is how long everything is well between two faults: half of it to one and a half of it.
	Every time.Duration
	// Longest bounds how long a fault lasts, besides what its kind says. The default, 0, does not.
	Longest time.Duration
}

// Schedule is an endless list of faults. Each round has every kind as often as its weight says, in an order of its own,
// so that a short run meets many kinds. Not safe for concurrent use.
type Schedule struct {
	config ScheduleConfig
	n      int
	round  []Kind // what is left of it
	rounds uint64
}

// NewSchedule returns a schedule before its first fault.
func NewSchedule(config ScheduleConfig) *Schedule { return &Schedule{config: config} }

// Streams keep the draws of rounds apart from those of faults.
const roundStream = 1 << 32

// Next returns the next fault.
func (s *Schedule) Next() Fault {
	if len(s.round) == 0 {
		s.shuffle()
	}
	kind := s.round[0]
	s.round = s.round[1:]
	s.n++
	random := rand.New(rand.NewPCG(s.config.Seed, uint64(s.n)))
	// Every fault draws all that any fault needs, in this order.
	node := random.IntN(s.config.Nodes)
	wait := s.config.Every/2 + time.Duration(random.Float64()*float64(s.config.Every))
	lasts := s.lasts(kind, random.Float64())
	hears := random.IntN(2) == 0
	fault := Fault{N: s.n, Kind: kind, Node: node, Wait: wait.Round(time.Millisecond), Lasts: lasts, Hears: hears && kind == OneWay}
	if kind == Clock {
		fault.Offset = clockOffset
		if random.IntN(2) == 0 {
			fault.Offset = -clockOffset
		}
	}
	return fault
}

// clockOffset is by how much a wall clock is wrong.
const clockOffset = 30 * time.Second

// lasts returns how long a fault lasts, for a draw from 0 to 1.
func (s *Schedule) lasts(kind Kind, draw float64) time.Duration {
	least, most := facts[kind].least, facts[kind].most
	if most == 0 {
		return 0
	}
	if longest := s.config.Longest; longest > 0 {
		least, most = min(least, longest), min(most, longest)
	}
	return time.Duration(float64(least) * math.Pow(float64(most)/float64(least), draw)).Round(time.Millisecond)
}

// shuffle draws the order of a round.
func (s *Schedule) shuffle() {
	for kind, weight := range s.config.Weights {
		for range weight {
			s.round = append(s.round, Kind(kind))
		}
	}
	random := rand.New(rand.NewPCG(s.config.Seed, roundStream+s.rounds))
	random.Shuffle(len(s.round), func(i, j int) { s.round[i], s.round[j] = s.round[j], s.round[i] })
	s.rounds++
}
