// Package engine runs actors on protoactor and knows nothing of invitations. It adds what protoactor's
// actor package lacks for millions of short-lived actors that are addressed by an identity: a worker
// pool, a small mailbox, a directory of the live actors and one timing wheel for their deadlines. Why
// so, and why protoactor's cluster package is not used, is docs/adr/0005-protoactor-engine.md.
//
// # Usage
//
//	sys := engine.New(engine.Options{})
//	calls := engine.NewDirectory(sys, engine.DirectoryOptions[ID]{Activate: newCall, Miss: refuse})
//	err := calls.Tell(id, msg) // makes the actor of id if there is none
//	...
//	err = sys.Stop(ctx)
//
// An actor is a [Behavior]. The engine calls it with one message at a time; through the [Context] it
// arms its one deadline, for which it gets a [Tick], and leaves when it has nothing to keep. An idle
// actor costs no goroutine and no time.
//
// # Guarantees
//
// Order, exactly-once handling inside the process, and the race between a message and an actor that
// leaves are described at [Directory]; deadlines at [Context.Arm]. Everything is in memory: a crash
// loses the actors and their messages.
//
// # Failure
//
// A panic is kept to the message that it happened in ([Behavior].OnPanic); it is logged and counted, and
// nothing else notices. A queue that is full is an error ([ErrBusy]), not a wait: nothing here blocks
// its caller, but [System.Stop].
//
// # Testing
//
// A system runs inside a testing/synctest bubble, when it is made and stopped there: its workers wait on
// channels and its wheel sleeps while no deadline is armed.
package engine
