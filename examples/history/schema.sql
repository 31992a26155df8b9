-- What a platform keeps of its calls. Safe to run again.

-- Each event as it came, by its id: a repeat changes nothing, a later one with the same id replaces it.
create table if not exists events (
  id         text primary key,
  invitation text        not null,
  type       text        not null,
  at         timestamptz not null,
  received   timestamptz not null default now(),
  data       jsonb       not null
);
create index if not exists events_invitation on events (invitation, at);

-- One row for each invitation, made of its events.
create table if not exists invitations (
  id            text primary key,
  caller        text not null,
  callee        text not null,
  caller_device text not null,
  callee_device text,
  channel_id    text,
  sent_at       timestamptz,
  offline_at    timestamptz, -- the callee had no device
  ringing_at    timestamptz,
  ended_at      timestamptz,
  outcome       text,
  state         text,
  code          text,
  reason        text,
  setup_ms      bigint,
  ring_ms       bigint,
  duration_ms   bigint
);
create index if not exists invitations_sent on invitations (coalesce(sent_at, ended_at));
create index if not exists invitations_caller on invitations (caller, coalesce(sent_at, ended_at) desc);
create index if not exists invitations_callee on invitations (callee, coalesce(sent_at, ended_at) desc);
