// Package handoff moves shards from node to node without losing what lives on them.
//
// A node holds a shard, awaits it, or neither (see [Place]). One that owns a shard by its view and does
// not hold it claims it from every other member, and keeps back what comes for it until each has answered
// or has left the view. Whoever holds a shard that is claimed gives it, whatever its own view says: it freezes
// what lives there, tells the router to pass on what still comes, and lets the claimant pull the frozen
// state in chunks. So views that disagree cost a detour, never an actor; and a claimant that dies before
// it has said that it has everything leaves the state with the one who gave it.
//
//	claimant                         holder
//	   │ ── Claim(shards) ────────────▶ │  freezes; forwards from now on
//	   │ ◀──────────── Grant(chunks) ── │
//	   │ ── Pull(0) ──────────────────▶ │
//	   │ ◀─────────────── Chunk(0) ──── │
//	   │            …                   │
//	   │ ── Done ─────────────────────▶ │  forgets the frozen state
//
// Every message may be lost, doubled or late: each side repeats what was not answered, and answers what is
// repeated.
//
// A node that was cut off or stopped, and comes back as the owner of shards that others have taken over,
// does not know that it has to claim them. So whoever holds a shard that another node owns, and that nobody
// claims, offers it; the owner then pulls, and merges what it gets with what it has.
package handoff
