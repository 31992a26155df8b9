package events

import (
	"time"

	"github.com/ringfleet/ringfleet/invitation"
)

// typePrefix is before the kind in the type of an event.
const typePrefix = "com.ringfleet.invitation."

// Message is an event as it is delivered: a CloudEvent 1.0 in the JSON format. Times have milliseconds at least.
type Message struct {
	SpecVersion     string    `json:"specversion"` // "1.0"
	ID              string    `json:"id"`          // ID(kind, invitation)
	Source          string    `json:"source"`      // the same for all nodes of a deployment
	Type            string    `json:"type"`        // Type(kind)
	Subject         string    `json:"subject"`     // the invitation's id
	Time            time.Time `json:"time"`
	DataContentType string    `json:"datacontenttype"` // "application/json"
	Data            Data      `json:"data"`
}

// Data is what an event says of the invitation. Numbers ending in Ms are milliseconds.
type Data struct {
	Invitation   string `json:"invitation"`
	Caller       string `json:"caller"`
	CallerDevice string `json:"caller_device"`
	Callee       string `json:"callee"`
	CalleeDevice string `json:"callee_device,omitempty"` // that answered
	ChannelID    string `json:"channel_id,omitempty"`
	Content      string `json:"content,omitempty"`  // with Config.Content only
	Response     string `json:"response,omitempty"` // likewise

	// Sent, callee_offline, ringing: when the state ends by itself, if nothing happens before.
	RemainingMs int64      `json:"remaining_ms,omitempty"`
	ExpiresAt   *time.Time `json:"expires_at,omitempty"`
	// Callee_offline: where to ask, without authentication, whether the invitation still waits. See [Links].
	ValidURL string `json:"valid_url,omitempty"`

	// Close: what the callee's other devices are told, CANCELED or FAILURE, and why.
	// Ended: how it ended for the caller. The names are those of docs/codes.md.
	Outcome string `json:"outcome,omitempty"`
	State   string `json:"state,omitempty"`
	Code    string `json:"code,omitempty"`
	Reason  string `json:"reason,omitempty"`

	// Ended: from the send to the first ack; from there to the answer or, without one, to the end; all together.
	// Absent for what did not happen, and all of them where the node that took the send was lost.
	SetUpMs    *int64 `json:"setup_ms,omitempty"`
	RingMs     *int64 `json:"ring_ms,omitempty"`
	DurationMs *int64 `json:"duration_ms,omitempty"`
}

// ID returns the id of an invitation's event of a kind. It is the same wherever and whenever the event is made.
func ID(kind invitation.EventKind, id invitation.ID) string { return id.String() + "." + kind.String() }

// Type returns the type of the events of a kind.
func Type(kind invitation.EventKind) string { return typePrefix + kind.String() }

// Encoded is an event on its way to a sink.
type Encoded struct {
	ID      string // see [ID]
	Type    string
	Subject string // the invitation's id
	Body    []byte // a CloudEvent 1.0 in the JSON format
}
