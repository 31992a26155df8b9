package main

import _ "embed" // schema.sql

//go:embed schema.sql
var schema string

// storeEvent stores an event, unless a later one of the same id is there.
const storeEvent = `
insert into events (id, invitation, type, at, data) values ($1, $2, $3, $4, $5)
on conflict (id) do update set at = excluded.at, data = excluded.data, received = now()
where excluded.at > events.at`

// What the events of each kind make of the row of their invitation.
const (
	storeStep = `
insert into invitations (id, caller, callee, caller_device, channel_id, sent_at, offline_at, ringing_at)
values ($1, $2, $3, $4, nullif($5, ''), $6, $7, $8)
on conflict (id) do update set
  sent_at = coalesce(invitations.sent_at, excluded.sent_at),
  offline_at = coalesce(invitations.offline_at, excluded.offline_at),
  ringing_at = coalesce(invitations.ringing_at, excluded.ringing_at)`

	storeEnd = `
insert into invitations (id, caller, callee, caller_device, channel_id, callee_device, ended_at, outcome, state, code, reason,
  setup_ms, ring_ms, duration_ms)
values ($1, $2, $3, $4, nullif($5, ''), nullif($6, ''), $7, $8, $9, $10, nullif($11, ''), $12, $13, $14)
on conflict (id) do update set
  callee_device = excluded.callee_device, ended_at = excluded.ended_at, outcome = excluded.outcome, state = excluded.state,
  code = excluded.code, reason = excluded.reason, setup_ms = coalesce(excluded.setup_ms, invitations.setup_ms),
  ring_ms = coalesce(excluded.ring_ms, invitations.ring_ms), duration_ms = coalesce(excluded.duration_ms, invitations.duration_ms)
where invitations.ended_at is null or invitations.ended_at <= excluded.ended_at`
)

// Queries, ready to use.
const (
	// CallsPerDay returns day, calls.
	CallsPerDay = `
select date_trunc('day', coalesce(sent_at, ended_at) at time zone 'UTC')::date as day, count(*) as calls
from invitations group by day order by day`

	// AnswerRate returns day, calls that ended, accepted, refused, and the share that was accepted.
	AnswerRate = `
select date_trunc('day', ended_at at time zone 'UTC')::date as day, count(*) as ended,
  count(*) filter (where outcome = 'accepted') as accepted, count(*) filter (where outcome = 'refused') as refused,
  round(count(*) filter (where outcome = 'accepted')::numeric / count(*), 4)::float8 as rate
from invitations where ended_at is not null group by day order by day`

	// RingTime returns, of calls that were answered, the ring time in ms: median, 95th percentile, mean.
	RingTime = `
select coalesce(percentile_cont(0.5) within group (order by ring_ms), 0)::float8 as p50,
  coalesce(percentile_cont(0.95) within group (order by ring_ms), 0)::float8 as p95, coalesce(avg(ring_ms), 0)::float8 as mean
from invitations where outcome in ('accepted', 'refused') and ring_ms is not null`

	// CallsOf returns the last calls of a user ($1), the newest first, at most $2: id, caller, callee, outcome, reason, when.
	CallsOf = `
select id, caller, callee, outcome, coalesce(reason, ''), coalesce(sent_at, ended_at) as at
from invitations where caller = $1 or callee = $1 order by at desc limit $2`
)
