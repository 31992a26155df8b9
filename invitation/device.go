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
}

// Welcome answers a [Login] that was taken. The states of the user's live invitations follow it as
// notices.
type Welcome struct {
	Stamp uint64 // names the login, to be brought back on resume; a newer login has a higher one
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
	Ending  *Ending
}
