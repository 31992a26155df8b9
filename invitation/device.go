package invitation

import "time"

// The messages between a device and its session. The gateway and the client carry them over
// WebSockets as protobuf; in process they travel as they are.

// Login opens a connection's conversation: who connects, with which device, and what that device
// has said before.
type Login struct {
	User   User
	Device Device
	Resume bool   // a re-attach of a login that Stamp names, not a new login
	Stamp  uint64 // from the Welcome of that login
	Words  []Word // the device's words about each invitation it has not been told to forget
	// Reattach says that the gateway logs in for a device that is connected already, as its session was
	// lost: Words are not known.
	Reattach bool
	// Age is for how long it waited on nodes and between them, as far as is known.
	Age time.Duration
}

// Welcome answers a [Login] that was taken. The states of the user's live invitations follow it as
// notices.
type Welcome struct {
	Stamp uint64 // names the login, to be brought back on resume; a newer login has a higher one
	// Tell says that the session is a new one that knows nothing: the device is to say its word about every
	// invitation it keeps, as on a resume. Such a Welcome may come at any time after the first.
	Tell bool
}

// Retell asks a device what it knows of one invitation, as the server may have forgotten it: the sending
// device of a live one repeats its send with [Resumed], and every device says its word.
type Retell struct {
	ID   ID
	Side Side
}

// Ending is the last thing a device is told on a connection.
type Ending struct {
	End        End
	RetryAfter time.Duration // 0: at once, with the client's own back-off
}

// Up is one thing that a device says after its login. One field is set.
type Up struct {
	Call   *Call
	Word   *Word
	Logout bool
}

// Down is one thing that a device is told. One field is set.
type Down struct {
	Welcome *Welcome
	Answer  *Answer
	Notice  *Notice
	Retell  *Retell
	Ending  *Ending
}
