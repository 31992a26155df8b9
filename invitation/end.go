package invitation

// End says why the server ended a device's connection. The number is the WebSocket close code.
// 4000–4499: reconnect, with back-off, and resume. 4500–4999: do not reconnect by itself; the
// session is over, or the client is at fault.
type End uint16

// The ends of a connection.
const (
	EndShutdown      End = 4000 // the node stops or drains: reconnect, to another node
	EndSlowReader    End = 4001 // the outgoing queue was full
	EndIdle          End = 4002 // nothing came in the idle time, not even the answer to a ping
	EndOverloaded    End = 4003 // too busy to take the login: reconnect after the given time
	EndLoginTimeout  End = 4004 // no login in time
	EndReplaced      End = 4005 // the same device connected again; this connection is the older one
	EndInternal      End = 4006 // a fault of the server
	EndTokenExpired  End = 4007 // the token expired while connected, and no new one had come
	EndRemoteLogin   End = 4500 // policy single: the user logged in on another device
	EndLoggedOut     End = 4501 // the client logged out, or an operator ended the session
	EndUnauthorized  End = 4502 // a login with a missing, wrong, or expired token, or one for another user
	EndBadFrame      End = 4503 // a frame that is not of the protocol
	EndFrameTooLarge End = 4504 // a frame over the size limit
	EndRateExceeded  End = 4505 // more frames than the limit allows, after warnings by LIMIT_EXCEEDED
	EndBadVersion    End = 4506 // no protocol version in common
	EndBadLogin      End = 4507 // a login with a malformed user or device id
	EndTooMany       End = 4508 // more devices than a user may have
)

// EndCode is a row of the public table of connection ends.
type EndCode struct {
	End  End
	Name string
	When string
	Do   string
}

// Ends is the public table from which docs/codes.md is generated, in order of their numbers.
var Ends = []EndCode{
	{EndShutdown, "SHUTDOWN", "the node stops or drains", "reconnect and resume, after a random part of the given time"},
	{EndSlowReader, "SLOW_READER", "the client read too slowly and its queue was full", "reconnect and resume"},
	{EndIdle, "IDLE", "nothing was received for the idle time, not even a pong", "reconnect and resume"},
	{EndOverloaded, "OVERLOADED", "the node is too busy to take the login", "reconnect after the given time"},
	{EndLoginTimeout, "LOGIN_TIMEOUT", "no login within the login time", "reconnect and log in at once"},
	{EndReplaced, "REPLACED", "the same device connected again", "nothing: the newer connection goes on"},
	{EndInternal, "INTERNAL", "a fault of the server", "reconnect and resume"},
	{EndTokenExpired, "TOKEN_EXPIRED", "the token expired while connected, and no new one had come", "get a new token, then reconnect and resume"},
	{EndRemoteLogin, "REMOTE_LOGIN", "the user logged in on another device (policy single)", "tell the user; do not reconnect by itself"},
	{EndLoggedOut, "LOGGED_OUT", "the client logged out or an operator ended the session", "log in again when the user asks"},
	{EndUnauthorized, "UNAUTHORIZED", "the token is missing, wrong, expired or for another user", "get a new token, then log in"},
	{EndBadFrame, "BAD_FRAME", "a frame that is not of the protocol", "correct the client"},
	{EndFrameTooLarge, "FRAME_TOO_LARGE", "a frame over the size limit", "correct the client"},
	{EndRateExceeded, "RATE_EXCEEDED", "more frames per second than the limit allows", "correct the client"},
	{EndBadVersion, "BAD_VERSION", "no protocol version in common", "update the client"},
	{EndBadLogin, "BAD_LOGIN", "a login with a malformed user or device id", "correct the client"},
	{EndTooMany, "TOO_MANY_DEVICES", "the user has as many devices as it may have", "log another device out first"},
}

// Row returns the table's row of e; an unknown number gives a row named UNKNOWN.
func (e End) Row() EndCode {
	for _, c := range Ends {
		if c.End == e {
			return c
		}
	}
	return EndCode{End: e, Name: "UNKNOWN"}
}

// Reconnect reports whether a client should come back by itself.
func (e End) Reconnect() bool { return e < EndRemoteLogin && e != EndReplaced }

// String returns the name of the end.
func (e End) String() string { return e.Row().Name }

// Error says what happened and what to do next.
func (e End) Error() string {
	row := e.Row()
	return "ringfleet: " + row.Name + ": " + row.When + " (" + row.Do + ")"
}
