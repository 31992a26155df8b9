package figures

import (
	"time"

	"github.com/ringfleet/ringfleet/loadtest/stats"
)

// Version is the version of the schema of a result. Results from before there were versions have 0.
const Version = 1

// The steps that are timed. Each begins when something was to be done, by the schedule or the script of the call, not
// when the generator came to do it.
const (
	Connect        = "connect"                   // a login, from when it was due, to Welcome
	Reconnect      = "reconnect"                 // from the loss of a connection, to the next Welcome
	Sent           = "due_to_sent"               // by how much the generator made calls late
	Taken          = "send_to_taken"             // from when the call was due, to the node's answer to the send
	Ringing        = "send_to_ringing"           // from when the call was due, to ReceivedByPeer
	Service        = "said_to_ringing"           // the same from when the send was said: not corrected
	CallerAccepted = "accept_to_caller_accepted" // from when the accept was due, to LocalInvitationAccepted
	CalleeAccepted = "accept_to_callee_accepted" // from when the accept was due, to RemoteInvitationAccepted
	CallerRefused  = "refuse_to_caller_refused"  // from when the refusal was due, to LocalInvitationRefused
	CalleeRefused  = "refuse_to_callee_refused"  // from when the refusal was due, to RemoteInvitationRefused
	CallerCanceled = "cancel_to_canceled"        // from when the cancel was due, to LocalInvitationCanceled
	CalleeCanceled = "cancel_to_callee_canceled" // from when the cancel was due, to RemoteInvitationCanceled
	Late           = "timer_lateness"            // from when a timer was due, to the event that it caused
)

// Steps are all of them, in the order in which they are shown.
var Steps = []string{
	Connect, Reconnect, Sent, Taken, Ringing, Service, CallerAccepted, CalleeAccepted, CallerRefused, CalleeRefused, CallerCanceled,
	CalleeCanceled, Late,
}

// Run is what a run came to.
type Run struct {
	Version    int                          `json:"version"`
	Build      string                       `json:"build,omitempty"`   // of the generator
	Command    []string                     `json:"command,omitempty"` // its flags; tokens left out
	Mode       string                       `json:"mode"`              // calls, hold, storm or chaos
	Loop       string                       `json:"loop"`              // open or closed
	Arrivals   string                       `json:"arrivals,omitempty"`
	Stages     []Stage                      `json:"stages,omitempty"`
	About      string                       `json:"about,omitempty"` // by the plan's file
	Started    time.Time                    `json:"started"`
	Seconds    float64                      `json:"seconds"`
	Seed       uint64                       `json:"seed"`
	Targets    []string                     `json:"targets"`
	SelfHosted bool                         `json:"self_hosted"` // node_… is of node and generator together
	Workers    int                          `json:"workers,omitempty"`
	Users      int                          `json:"users"`
	Calls      int64                        `json:"calls"`
	Completed  int64                        `json:"completed"`
	Abandoned  int64                        `json:"abandoned"` // not begun when the time was over
	CallsPerS  float64                      `json:"calls_per_s"`
	Outcomes   map[string]int64             `json:"outcomes"`
	Scenarios  map[string]map[string]int64  `json:"scenarios"`
	Violations int64                        `json:"violations"`
	Errors     int64                        `json:"errors"`
	ErrorTexts map[string]int64             `json:"error_texts"`
	Codes      map[string]int64             `json:"error_codes"` // requests and connections by the node's word for what went wrong
	Limited    int64                        `json:"limited"`     // sends that were told LIMIT_EXCEEDED and came again
	Repeats    int64                        `json:"repeats"`     // requests that were repeated for want of an answer
	Reconnects int64                        `json:"reconnects"`  // connections lost
	Losses     map[string]int64             `json:"reconnect_causes"`
	Delayed    int64                        `json:"delayed"` // calls during which a side was without a connection
	Failed     int64                        `json:"failed"`
	FailedBy   map[string]int64             `json:"failed_causes"`
	Excused    int64                        `json:"excused"`
	ExcusedBy  map[string]int64             `json:"excused_causes"`
	AllowedBy  map[string]int64             `json:"allowed_causes"` // calls that ended as a fault of the nodes allows
	KeptBy     map[string]int64             `json:"kept_causes"`    // calls of which a client kept something from its application
	LagMs      float64                      `json:"generator_lag_ms"`
	Latency    map[string]stats.Percentiles `json:"latency"`
	Histograms map[string]*stats.Histogram  `json:"histograms"` // of Latency
	Nodes      []Node                       `json:"nodes"`
	Windows    []Window                     `json:"windows"`
	Phases     []Window                     `json:"phases,omitempty"`
	Slowest    []SlowCall                   `json:"slowest,omitempty"`
	NodeCPU    *float64                     `json:"node_cpu_us_per_call,omitempty"` // completed
	NodeRSS    *float64                     `json:"node_rss_bytes,omitempty"`
	CPUPerCall *float64                     `json:"cpu_us_per_call,omitempty"` // accepted
	Bytes      *float64                     `json:"peer_bytes_per_call,omitempty"`
	Messages   *float64                     `json:"peer_messages_per_call,omitempty"`
	Storm      *Storm                       `json:"storm,omitempty"`
	Held       *Held                        `json:"held,omitempty"`
	Checks     []Check                      `json:"checks,omitempty"` // thresholds
	Verdict    string                       `json:"verdict"`          // pass or fail
	Chaos      *Chaos                       `json:"chaos,omitempty"`
}

// The verdicts.
const (
	Pass = "pass"
	Fail = "fail"
)

// Stage is a part of the plan of an open loop.
type Stage struct {
	From    float64 `json:"from"` // calls a second
	To      float64 `json:"to"`
	Seconds float64 `json:"seconds"` // 0: until the end
}

// Window is what happened in a part of the run.
type Window struct {
	T          float64     `json:"t"` // seconds from the begin of the run; of a phase, to its first begin
	Phase      string      `json:"phase,omitempty"`
	Seconds    float64     `json:"seconds"`
	Begun      int64       `json:"begun"`
	Completed  int64       `json:"completed"`
	CallsPerS  float64     `json:"calls_per_s"`
	InFlight   int64       `json:"in_flight"` // at its end
	Online     int64       `json:"online"`    // users with a session at its end
	Setup      stats.Quick `json:"setup_ms"`
	Connected  stats.Quick `json:"setup_connected_ms"`
	Accept     stats.Quick `json:"accept_ms"`
	Connects   stats.Quick `json:"connect_ms"` // logins and returns
	Errors     int64       `json:"errors"`
	Violations int64       `json:"violations"`
	Failed     int64       `json:"failed"`
	Reconnects int64       `json:"reconnects"`

	// Counted is there until results are merged.
	Counted *Counted `json:"counted,omitempty"`
}

// Counted is what the latencies of a window are from.
type Counted struct {
	Setup     *stats.Histogram `json:"setup"`
	Connected *stats.Histogram `json:"connected"`
	Accept    *stats.Histogram `json:"accept"`
	Connects  *stats.Histogram `json:"connects"`
}

// Node is what a run came to at one node.
type Node struct {
	Target     string      `json:"target"`          // "": no user connects to it
	Placed     int64       `json:"placed"`          // sessions when the run began
	Sessions   int64       `json:"sessions"`        // when it ended
	Calls      int64       `json:"calls_as_caller"` // begun while their caller was connected here
	Setup      stats.Quick `json:"setup_ms"`
	Accept     stats.Quick `json:"accept_ms"`
	Reconnects int64       `json:"reconnects"` // connections that were lost here
	Gained     int64       `json:"gained"`     // users that came here after they had lost their connection
	Failed     int64       `json:"failed_dials"`
	Errors     int64       `json:"errors"`

	Metrics   string   `json:"metrics,omitempty"`
	CPU       *float64 `json:"cpu_s,omitempty"`
	RSSBefore *float64 `json:"rss_before_bytes,omitempty"`
	RSSAfter  *float64 `json:"rss_after_bytes,omitempty"`
	RSSMost   *float64 `json:"rss_most_bytes,omitempty"`
	Bytes     *float64 `json:"peer_sent_bytes,omitempty"`
	Messages  *float64 `json:"peer_sent_messages,omitempty"`
	Restarts  int      `json:"restarts,omitempty"`
	Missed    int      `json:"missed_scrapes,omitempty"`
	Samples   []Sample `json:"samples,omitempty"`

	// Counted is there until results are merged.
	Counted *Counted `json:"counted,omitempty"`
}

// Sample is what a node's metrics told at one time. What it does not tell is 0.
type Sample struct {
	T          float64 `json:"t"`     // seconds from the begin of the run
	CPU        float64 `json:"cores"` // in use on average since the sample before
	RSS        float64 `json:"rss_bytes"`
	Heap       float64 `json:"heap_bytes"`
	Goroutines float64 `json:"goroutines"`
	GCs        float64 `json:"gc_per_s"`
	Pause      float64 `json:"gc_pause_ms_per_s"`
	Sessions   float64 `json:"connections"`
}

// SlowCall is one of the slowest calls.
type SlowCall struct {
	T        float64  `json:"t"` // when it was to be made, in seconds from the begin of the run
	Ms       float64  `json:"ms"`
	Scenario string   `json:"scenario"`
	Caller   string   `json:"caller_target"` // the node that the caller was connected to when it began
	Callee   string   `json:"callee_target"` // the same of the callee when it was judged; "" for one who is not there
	Away     float64  `json:"away_ms"`       // for how long a side was without a connection meanwhile
	History  []string `json:"history"`
}

// Storm is a run that is about connections.
type Storm struct {
	Rate    float64 `json:"connect_rate"` // a second; 0: all at once
	Seconds float64 `json:"connect_s"`    // until all were connected
	Cuts    []Cut   `json:"cuts"`
}

// Cut is one time at which connections were cut off.
type Cut struct {
	T       float64 `json:"t"`
	Users   int64   `json:"users"`
	Back    int64   `json:"back"`   // before the next cut
	Seconds float64 `json:"back_s"` // until the last of them was
}

// Held is a run that lets invitations ring.
type Held struct {
	Invitations int64   `json:"invitations"`
	Rang        int64   `json:"rang"`     // at once
	UntilS      float64 `json:"rang_s"`   // until all rang
	Seconds     float64 `json:"held_s"`   // from then on
	Answered    int64   `json:"answered"` // accepted, refused or canceled afterwards; the others ran out
}

// Check is a threshold, and what it was held against.
type Check struct {
	Rule  string   `json:"rule"`            // fails if
	Value *float64 `json:"value,omitempty"` // in the unit of the figure; left out: it was not measured
	Shown string   `json:"shown"`           // for people
	Fails bool     `json:"fails"`
}

// Chaos is what a report tells of a run with faults; the result has more.
type Chaos struct {
	Seed   uint64  `json:"seed"`
	Repeat string  `json:"repeat"`
	Faults []Fault `json:"faults"`
}

// Fault is a fault on the time line.
type Fault struct {
	T       float64 `json:"t"`
	Kind    string  `json:"kind"`
	Node    string  `json:"node"`
	What    string  `json:"what"`
	Seconds float64 `json:"seconds"`
	Settled float64 `json:"settled_s"`
}
