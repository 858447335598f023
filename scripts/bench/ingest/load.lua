-- The load of `make bench-limit`, run by wrk: load.lua BATCH_EVENTS USERS RUN. Prints JSON behind wrk's own lines.
--
-- USERS is `new`, where every event is the first of a user, or `known`, where the same POOL bodies come round and round, made
-- beforehand; a run before the one that counts has sent them all.

local POOL = 64
local PATH = "/v0/analytics"
local HEADERS = { ["Content-Type"] = "application/json" }

local batch_events, users, run
local user = 0
local pool = {}
local sent = 0

local function event()
  user = user + 1
  return string.format('{"event_name":"Login","user_id":"%s-%d"}', run, user)
end

local function post()
  if batch_events == 1 then return wrk.format("POST", PATH, HEADERS, event()) end
  local events = {}
  for number = 1, batch_events do events[number] = event() end
  return wrk.format("POST", PATH, HEADERS, "[" .. table.concat(events, ",") .. "]")
end

function init(args)
  batch_events, users, run = tonumber(args[1]), args[2], args[3]
  if users == "known" then
    run = "known"
    for number = 1, POOL do pool[number] = post() end
  end
end

function request()
  if users == "new" then return post() end
  sent = sent + 1
  return pool[sent % POOL + 1]
end

function done(summary, latency)
  local errors = summary.errors
  local failed = errors.connect + errors.read + errors.write + errors.status + errors.timeout
  print(string.format('{"answered":%d,"failed":%d,"seconds":%f,"p50Ms":%f,"p99Ms":%f}', summary.requests - errors.status, failed,
    summary.duration / 1e6, latency:percentile(50) / 1e3, latency:percentile(99) / 1e3))
end
