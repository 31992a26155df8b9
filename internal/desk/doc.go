// Package desk answers what the API asks of one node: about the users, the invitations and the outcomes that are there,
// and does there what the API wants done. Package api says who may ask, and finds the node.
//
// Looks wait in the mailboxes of the actors that they are about, like all that these are told, so an answer tells how
// things stand when it was that look's turn. What is asked of a node that has given the user away meanwhile is not
// found there: whoever routes checks that first.
//
// # On behalf of a user
//
// Send logs in a device of the user's, named [Device], in this process: a client of package client, with all that a
// client does, the confirm of an accept and the repetition of what was lost among it. It logs out when the last of what
// it sent has ended. It lives where it first logged in, also when the user's session moves to another node; when the
// process is killed it is lost like a phone that is switched off, and what it had sent ends within the grace.
//
// All methods are safe for concurrent use. Every error is one of package fault.
package desk
