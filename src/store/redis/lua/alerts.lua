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
  -- Its true count is gone with it.
  if lib.is_gone(root, id) then return { '2' } end
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

-- Forgets one that is not pending, once all of its entries were read: id, at, followers.
writes.forget_alert = lib.writing(function(root, take)
  local id, at, followers = take(), take(), lib.texts(take)
  lib.number(at)
  local key = root .. ':alert:' .. id
  local alert = lib.fields(key, ALERT)
  if not alert.times then return { 'ALREADY' } end
  if alert.disposition == 'pending' then return { 'OPEN' } end
  if lib.is_unread(root, id, followers) then return { 'UNREAD' } end
  call('DEL', key, key .. ':headers', key .. ':body')
  call('ZREM', root .. ':alerts:' .. alert.disposition, id)
  call('DECRBY', root .. ':repeats', tonumber(alert.times) - 1)
  lib.drop_chain(root, id, tonumber(alert.len), at)
  return { 'NOW' }, true
end)

-- before, after (moment and id), limit: id and moment of those that are not pending, the oldest first.
reads.old_alerts = lib.reading(function(root, take)
  local before, after, limit = take(), lib.place(take), lib.number(take())
  local keys = {}
  for _, word in ipairs(DISPOSITIONS) do
    if word ~= 'pending' then keys[#keys + 1] = root .. ':alerts:' .. word end
  end
  return lib.flat(lib.oldest(keys, after, '(' .. before, limit))
end)

lib.kinds.alert = {
  names = function(root, after, limit)
    local keys = {}
    for at, word in ipairs(DISPOSITIONS) do keys[at] = root .. ':alerts:' .. word end
    return lib.places(lib.oldest(keys, after, '+inf', limit))
  end,
  by_time = true,
  row = function(root, id)
    local key = root .. ':alert:' .. id
    local alert = lib.fields(key, ALERT)
    if not alert.times then return false end
    return { alert_row(id, alert), call('GET', key .. ':headers'), call('GET', key .. ':body'), lib.lines(root, id) }
  end,
  take = function(take)
    local to = { source = take(), at = take(), times = take(), disposition = take(), len = take(), last = take() }
    to.headers, to.body, to.chain = take(), take(), lib.items(take)
    lib.number(to.at)
    lib.number(to.times)
    return to
  end,
  put = function(root, id, to)
    local key = root .. ':alert:' .. id
    call('HSET', key, 'source', to.source, 'at', to.at, 'times', to.times, 'disposition', to.disposition, 'len', to.len,
      'last', to.last, 'by', '')
    call('SET', key .. ':headers', to.headers)
    call('SET', key .. ':body', to.body)
    call('ZADD', root .. ':alerts:' .. to.disposition, to.at, id)
    call('INCRBY', root .. ':repeats', tonumber(to.times) - 1)
    lib.put_items(root, id, to.chain)
  end,
}

local function forget_key(root, name)
  call('DEL', root .. ':key:' .. name, root .. ':key:' .. name .. ':lost')
  call('ZREM', root .. ':keys', name)
  call('ZREM', root .. ':keys:names', name)
end

local function put_key(root, name, owner, till)
  call('HSET', root .. ':key:' .. name, 'owner', owner, 'until', till)
  call('ZADD', root .. ':keys', till, name)
  call('ZADD', root .. ':keys:names', 0, name)
end

lib.kinds.claim = {
  names = function(root, after, limit) return lib.named(root .. ':keys:names', after, limit) end,
  row = function(root, name)
    local known = lib.fields(root .. ':key:' .. name, { 'owner', 'until' })
    if not known.owner then return false end
    return { name, known.owner, known['until'], call('SMEMBERS', root .. ':key:' .. name .. ':lost') }
  end,
  take = function(take)
    local to = { owner = take(), till = take(), lost = lib.texts(take) }
    lib.number(to.till)
    return to
  end,
  put = function(root, name, to)
    put_key(root, name, to.owner, to.till)
    for _, asker in ipairs(to.lost) do call('SADD', root .. ':key:' .. name .. ':lost', asker) end
  end,
}

-- Forgets claims on keys that ended before a moment, at most so many; answers how many.
function lib.sweep_keys(root, before, limit)
  local old = call('ZRANGEBYSCORE', root .. ':keys', '-inf', '(' .. before, 'LIMIT', 0, limit)
  for _, name in ipairs(old) do forget_key(root, name) end
  return #old
end

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
  put_key(root, name, owner, till)
  lib.sweep_keys(root, string.format('%.0f', now - FORGOTTEN_AFTER_MS), FORGOTTEN_AT_ONCE)
  return { 'WON' }, true
end)
