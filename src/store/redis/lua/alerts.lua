-- Deliveries. `alert:ID` is small and read by functions; body and headers are beside it.

local DISPOSITIONS = { 'pending', 'split', 'unreadable', 'control' }
local ALERT = { 'source', 'at', 'times', 'disposition', 'len', 'last', 'by' }

-- Claims on keys that ended so long ago are forgotten, ms: clocks of several machines differ by less.
local FORGOTTEN_AFTER_MS = 86400000
-- How many at each new claim: more than it adds, so that they never pile up.
local FORGOTTEN_AT_ONCE = 4

local function alert_row(id, alert)
  return { id, alert.source, alert.at, alert.times, alert.disposition, alert.len, alert.last }
end

-- id, ask, source, at, headers, body, entries. `ask` tells a repeat of this very call from another delivery.
writes.accept = lib.writing(function(root, take)
  local id, ask, source, at = take(), take(), take(), take()
  local headers, body, entries = take(), take(), lib.entries(take)
  lib.number(at)
  local key = root .. ':alert:' .. id
  local known = lib.fields(key, ALERT)
  if known.times then
    if known.by == ask then return { known.times } end
    local times = call('HINCRBY', key, 'times', 1)
    call('HSET', key, 'by', ask)
    call('INCR', root .. ':repeats')
    return { tostring(times) }, true
  end
  call('HSET', key, 'source', source, 'at', at, 'times', 1, 'disposition', 'pending', 'len', 1, 'last', entries[1].digest,
    'by', ask)
  call('SET', key .. ':headers', headers)
  call('SET', key .. ':body', body)
  call('ZADD', root .. ':alerts:pending', at, id)
  lib.push(root, id, 0, entries)
  return { '1' }, true
end)

-- limit: the oldest that are pending.
reads.unprocessed = lib.reading(function(root, take)
  return call('ZRANGEBYSCORE', root .. ':alerts:pending', '-inf', '+inf', 'LIMIT', 0, lib.number(take()))
end)

-- id: the row, headers and body of one, or nothing.
reads.alert = lib.reading(function(root, take)
  local id = take()
  local key = root .. ':alert:' .. id
  local alert = lib.fields(key, ALERT)
  if not alert.times then return {} end
  return { alert_row(id, alert), call('GET', key .. ':headers'), call('GET', key .. ':body') }
end)

-- id, expected, disposition, entries.
writes.dispose = lib.writing(function(root, take)
  local id, expected, disposition, entries = take(), lib.number(take()), take(), lib.entries(take)
  local key = root .. ':alert:' .. id
  local alert = lib.fields(key, ALERT)
  if not alert.times then return { 'MISSING' } end
  local len = tonumber(alert.len)
  local place, refusal = lib.follow(root, id, len, expected, entries)
  if refusal then return refusal end
  if place == 'there' then return { 'THERE' } end
  lib.push(root, id, len, entries)
  local last = alert.last
  if #entries > 0 then last = entries[#entries].digest end
  call('HSET', key, 'disposition', disposition, 'len', len + #entries, 'last', last)
  if disposition ~= alert.disposition then
    call('ZREM', root .. ':alerts:' .. alert.disposition, id)
    call('ZADD', root .. ':alerts:' .. disposition, alert.at, id)
  end
  return { 'NEXT' }, true
end)

-- before, disposition, limit: rows, newest first.
reads.alerts = lib.reading(function(root, take)
  local before, disposition, limit = lib.maybe(take()), lib.maybe(take()), lib.number(take())
  local keys = {}
  for _, word in ipairs(DISPOSITIONS) do
    if not disposition or disposition == word then keys[#keys + 1] = root .. ':alerts:' .. word end
  end
  local rows = {}
  for _, id in ipairs(lib.newest(keys, before, limit)) do
    rows[#rows + 1] = alert_row(id, lib.fields(root .. ':alert:' .. id, ALERT))
  end
  return rows
end)

-- key, owner, now, until.
writes.claim_once = lib.writing(function(root, take)
  local name, owner, now, till = take(), take(), lib.number(take()), take()
  lib.number(till)
  local key = root .. ':key:' .. name
  local known = lib.fields(key, { 'owner', 'until' })
  if known.owner and tonumber(known['until']) > now then
    if known.owner == owner then return { 'WON' } end
    local new = call('SADD', key .. ':lost', owner)
    return { 'TAKEN', known.owner, call('SCARD', key .. ':lost') }, new == 1
  end
  call('DEL', key .. ':lost')
  call('HSET', key, 'owner', owner, 'until', till)
  call('ZADD', root .. ':keys', till, name)
  local high = string.format('(%.0f', now - FORGOTTEN_AFTER_MS)
  for _, old in ipairs(call('ZRANGEBYSCORE', root .. ':keys', '-inf', high, 'LIMIT', 0, FORGOTTEN_AT_ONCE)) do
    call('DEL', root .. ':key:' .. old, root .. ':key:' .. old .. ':lost')
    call('ZREM', root .. ':keys', old)
  end
  return { 'WON' }, true
end)
