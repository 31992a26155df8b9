// Package placement decides which node owns which shard: rendezvous hashing over the names of the
// members that serve. It is pure, and all nodes that see the same names decide the same.
//
//	table, err := placement.New([]string{"node-0", "node-1", "node-2"})
//	owner, ok := table.Owner(invitation.ShardOf("alice"))
//
// # Guarantees
//
// Agreement: the table is a function of the set of names; order and repetition do not matter. The
// function is part of the contract between nodes: testdata holds owners that never change.
//
// Minimal disruption: a member that comes takes shards, and one that goes gives its own away; no shard
// moves between two members that stay.
//
// Spread: with n members of m = 4096/n shards on average, every member owns between m - 4.5√m and
// m + 4.5√m shards, for each of 1 to 100 members named as pods are named (tested). That is the spread of
// independent throws, ±12 % for 3 members and ±70 % for 100. Evening it out further would move shards
// between members that stay.
//
// Names, not addresses: a restarted pod keeps its name and gets a new address, and so keeps its shards.
// Why not protoactor's rendezvous, and not a consistent hash ring: docs/adr/0008-placement.md.
package placement
