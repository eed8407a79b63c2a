-- Locks, changes and holds of targets. `locks` is a hash by target; `changes` has targets by when they were last changed, and
-- `changes:names` by name. A held facet is `TARGET\0FACET`: its hash
-- `hold:...` has the state before and how it comes back, a field `by EFFECT` for each effect that holds it and a field
-- `left EFFECT` (place, run, since) for each that let go without restoring; `holds` lists them in
-- order, `leases` has `TARGET\0FACET\0EFFECT` by the end of its lease. `taken:RUN` has what a run has taken: `lock\0TARGET\0EFFECT` and
-- `hold\0TARGET\0FACET\0EFFECT`. The first argument of every function that writes is the moment before which it may be done.

local HOLDER = '^(%S+) (%S+) (%S+) (%S+) (%S+) (%S+) (%S+) (%S+)$'

local function unpack_holder(text)
  local holder = {}
  holder.place, holder.first, holder.run, holder.since, holder.till, holder.tries, holder.ending, holder.seen =
    string.match(text, HOLDER)
  if not holder.place then error('a holder cannot be read') end
  return holder
end

local function pack_holder(holder)
  return table.concat({
    holder.place, holder.first, holder.run, holder.since, holder.till, holder.tries, holder.ending, holder.seen,
  }, ' ')
end

local function holder_of(root, name, effect)
  local text = call('HGET', root .. ':hold:' .. name, 'by ' .. effect)
  return text and unpack_holder(text)
end

local function save_holder(root, name, effect, holder)
  call('HSET', root .. ':hold:' .. name, 'by ' .. effect, pack_holder(holder))
  local lease = name .. '\0' .. effect
  if holder.till == '-' then
    call('ZREM', root .. ':leases', lease)
  else
    call('ZADD', root .. ':leases', holder.till, lease)
  end
end

local function remove_holder(root, name, effect)
  local holder = holder_of(root, name, effect)
  if not holder then return false end
  call('ZREM', root .. ':leases', name .. '\0' .. effect)
  call('ZREM', root .. ':taken:' .. holder.run, 'hold\0' .. name .. '\0' .. effect)
  call('HDEL', root .. ':hold:' .. name, 'by ' .. effect)
  return true
end

-- Effects and holders of a facet, in no order.
local function holders(root, name)
  local all, found = call('HGETALL', root .. ':hold:' .. name), {}
  for at = 1, #all, 2 do
    local effect = string.match(all[at], '^by (.*)$')
    if effect then found[#found + 1] = { effect = effect, holder = unpack_holder(all[at + 1]) } end
  end
  return found
end

-- Effects that let go of a facet without restoring, with what is kept of each, in no order.
local function leavers(root, name)
  local all, found = call('HGETALL', root .. ':hold:' .. name), {}
  for at = 1, #all, 2 do
    local effect = string.match(all[at], '^left (.*)$')
    if effect then found[#found + 1] = { effect = effect, text = all[at + 1] } end
  end
  return found
end

-- Whether a facet is held by anybody but one, who is not ending; how many do.
local function held_by_others(root, name, effect)
  local others = 0
  for _, one in ipairs(holders(root, name)) do
    if one.effect ~= effect and one.holder.ending == '0' then others = others + 1 end
  end
  return others
end

-- Adds somebody to the holders of a facet, as the last.
local function add_holder(root, name, effect, run, since, till, first)
  local place = call('HINCRBY', root .. ':hold:' .. name, 'places', 1)
  call('HDEL', root .. ':hold:' .. name, 'left ' .. effect)
  call('ZADD', root .. ':taken:' .. run, 0, 'hold\0' .. name .. '\0' .. effect)
  save_holder(root, name, effect, {
    place = place, first = first, run = run, since = since, till = till, tries = '0', ending = '0', seen = '-',
  })
end

-- Forgets a hold that nobody has any more.
local function forget_if_free(root, name)
  if #holders(root, name) == 0 then
    call('DEL', root .. ':hold:' .. name)
    call('ZREM', root .. ':holds', name)
  end
end

local function restores(root, name)
  local hold = lib.fields(root .. ':hold:' .. name, { 'prior', 'undo' })
  return hold.prior, hold.undo
end

local function none(text)
  if text == '' then return '-' end
  lib.number(text)
  return text
end

local function put_lock(root, target, to)
  call('HSET', root .. ':locks', target, to.effect .. ' ' .. to.run .. ' ' .. to.since)
  call('ZADD', root .. ':taken:' .. to.run, 0, 'lock\0' .. target .. '\0' .. to.effect)
end

lib.kinds.lock = {
  names = function(root, after, limit) return lib.keys(root .. ':locks', after, limit) end,
  row = function(root, target)
    local lock = call('HGET', root .. ':locks', target)
    return lock and { target, string.match(lock, '^(%S+) (%S+) (%S+)$') }
  end,
  take = function(take)
    local to = { effect = take(), run = take(), since = take() }
    lib.number(to.since)
    return to
  end,
  put = put_lock,
}

-- target, effect, run, now.
writes.lock = lib.writing_before(function(root, take)
  local target, effect, run, now = take(), take(), take(), take()
  local known = call('HGET', root .. ':locks', target)
  if known then
    local owner, of_run = string.match(known, '^(%S+) (%S+)')
    if owner == effect then return { 'GRANTED' } end
    return { 'BUSY', owner, of_run }
  end
  put_lock(root, target, { effect = effect, run = run, since = now })
  return { 'GRANTED' }, true
end)

-- target, effect.
writes.unlock = lib.writing_before(function(root, take)
  local target, effect = take(), take()
  local known = call('HGET', root .. ':locks', target)
  local owner, run = string.match(known or '', '^(%S+) (%S+)')
  if owner ~= effect then return {} end
  call('HDEL', root .. ':locks', target)
  call('ZREM', root .. ':taken:' .. run, 'lock\0' .. target .. '\0' .. effect)
  return {}, true
end)

-- Target and words of each lock, in no order.
reads.locks = lib.reading(function(root)
  return call('HGETALL', root .. ':locks')
end)

local function put_change(root, target, at)
  call('ZADD', root .. ':changes', at, target)
  call('ZADD', root .. ':changes:names', 0, target)
end

-- Forgets last changes before a moment, at most so many; answers how many.
function lib.sweep_changes(root, before, limit)
  local old = call('ZRANGEBYSCORE', root .. ':changes', '-inf', '(' .. before, 'LIMIT', 0, limit)
  for _, target in ipairs(old) do
    call('ZREM', root .. ':changes', target)
    call('ZREM', root .. ':changes:names', target)
  end
  return #old
end

lib.kinds.change = {
  names = function(root, after, limit) return lib.named(root .. ':changes:names', after, limit) end,
  row = function(root, target)
    local at = call('ZSCORE', root .. ':changes', target)
    return at and { target, at }
  end,
  take = function(take)
    local at = take()
    lib.number(at)
    return at
  end,
  put = put_change,
}

-- target, at.
writes.note_change = lib.writing_before(function(root, take)
  local target, at = take(), take()
  local known = call('ZSCORE', root .. ':changes', target)
  if known and lib.number(at) <= tonumber(known) then return {} end
  put_change(root, target, at)
  return {}, true
end)

-- target.
reads.changed_at = lib.reading(function(root, take)
  return { call('ZSCORE', root .. ':changes', take()) }
end)

-- name, effect, run, at, until, target, prior, undo.
writes.hold_take = lib.writing_before(function(root, take)
  local name, effect, run, at, till = take(), take(), take(), take(), none(take())
  local target, prior, undo = take(), take(), take()
  lib.number(at)
  local key = root .. ':hold:' .. name
  local holder = holder_of(root, name, effect)
  if holder then
    local other = holder.till ~= till
    if other then
      holder.till = till
      save_holder(root, name, effect, holder)
    end
    return { holder.first, restores(root, name) }, other
  end
  local first = '0'
  if call('EXISTS', key) == 0 then
    first = '1'
    call('HSET', key, 'target', target, 'prior', prior, 'undo', undo)
    call('ZADD', root .. ':holds', 0, name)
  end
  add_holder(root, name, effect, run, at, till, first)
  return { first, restores(root, name) }, true
end)

-- name, effect.
writes.hold_end = lib.writing_before(function(root, take)
  local name, effect = take(), take()
  local ours = holder_of(root, name, effect)
  if not ours then return { 'NOT' } end
  local others = held_by_others(root, name, effect)
  if others > 0 then
    remove_holder(root, name, effect)
    local place = call('HINCRBY', root .. ':hold:' .. name, 'places', 1)
    call('HSET', root .. ':hold:' .. name, 'left ' .. effect, place .. ' ' .. ours.run .. ' ' .. ours.since)
    return { 'OTHERS', others }, true
  end
  local wrote = ours.ending == '0'
  if wrote then
    ours.ending = '1'
    save_holder(root, name, effect, ours)
  end
  return { 'LAST', restores(root, name) }, wrote
end)

-- name, effect.
writes.hold_drop = lib.writing_before(function(root, take)
  local name, effect = take(), take()
  if not remove_holder(root, name, effect) then return {} end
  forget_if_free(root, name)
  return {}, true
end)

-- name, effect, at.
writes.hold_give_up = lib.writing_before(function(root, take)
  local name, effect, at = take(), take(), take()
  lib.number(at)
  local wrote = call('HDEL', root .. ':hold:' .. name, 'left ' .. effect) == 1
  if not remove_holder(root, name, effect) then return {}, wrote end
  if held_by_others(root, name, effect) == 0 then
    local last
    for _, one in ipairs(leavers(root, name)) do
      local place, run, since = string.match(one.text, '^(%S+) (%S+) (%S+)$')
      one.place, one.run, one.since = tonumber(place), run, since
      if not last or one.place > last.place then last = one end
    end
    if last then add_holder(root, name, last.effect, last.run, last.since, at, '0') end
  end
  forget_if_free(root, name)
  return {}, true
end)

-- name, effect, until, tries.
writes.hold_until = lib.writing_before(function(root, take)
  local name, effect, till, tries = take(), take(), none(take()), take()
  lib.number(tries)
  local holder = holder_of(root, name, effect)
  if not holder then return { 'MISSING' } end
  if holder.till == till and holder.tries == tries then return {} end
  holder.till, holder.tries = till, tries
  save_holder(root, name, effect, holder)
  return {}, true
end)

-- name, effect, seen.
writes.hold_seen = lib.writing_before(function(root, take)
  local name, effect, seen = take(), take(), take()
  local holder = holder_of(root, name, effect)
  if not holder or holder.seen == seen then return {} end
  holder.seen = seen
  save_holder(root, name, effect, holder)
  return {}, true
end)

local function hold_row(root, name)
  local hold = lib.fields(root .. ':hold:' .. name, { 'target', 'prior', 'undo' })
  if not hold.target then return false end
  local by = {}
  for _, one in ipairs(holders(root, name)) do
    by[#by + 1] = one.effect
    by[#by + 1] = pack_holder(one.holder)
  end
  local left = {}
  for _, one in ipairs(leavers(root, name)) do
    left[#left + 1] = one.effect
    left[#left + 1] = one.text
  end
  return { name, hold.target, hold.prior, hold.undo, by, left }
end

lib.kinds.hold = {
  names = function(root, after, limit) return lib.named(root .. ':holds', after, limit) end,
  row = hold_row,
  take = function(take)
    local to = { target = take(), prior = take(), undo = take(), holders = {}, left = {} }
    for at = 1, lib.number(take()) do to.holders[at] = { effect = take(), holder = unpack_holder(take()) } end
    for at = 1, lib.number(take()) do to.left[at] = { effect = take(), text = take() } end
    return to
  end,
  put = function(root, name, to)
    call('HSET', root .. ':hold:' .. name, 'target', to.target, 'prior', to.prior, 'undo', to.undo, 'places', #to.holders + #to.left)
    call('ZADD', root .. ':holds', 0, name)
    for _, one in ipairs(to.holders) do
      call('ZADD', root .. ':taken:' .. one.holder.run, 0, 'hold\0' .. name .. '\0' .. one.effect)
      save_holder(root, name, one.effect, one.holder)
    end
    for _, one in ipairs(to.left) do call('HSET', root .. ':hold:' .. name, 'left ' .. one.effect, one.text) end
  end,
}

-- name: name, target, prior, undo and holders of one facet, or nothing.
reads.hold = lib.reading(function(root, take)
  return { hold_row(root, take()) }
end)

-- after, limit: the same of each facet after a name, in order.
reads.holds = lib.reading(function(root, take)
  local after, limit = lib.maybe(take()), lib.number(take())
  local low = '-'
  if after then low = '(' .. after end
  local found = {}
  for _, name in ipairs(call('ZRANGEBYLEX', root .. ':holds', low, '+', 'LIMIT', 0, limit)) do
    found[#found + 1] = hold_row(root, name)
  end
  return found
end)

-- run: what it has taken here, in order.
reads.taken_by = lib.reading(function(root, take)
  return call('ZRANGE', root .. ':taken:' .. take(), 0, -1)
end)

-- now, limit: name, target, effect and holder of each whose lease is over, the longest over first.
reads.due_holders = lib.reading(function(root, take)
  local now, limit = take(), lib.number(take())
  local found = {}
  for _, lease in ipairs(call('ZRANGEBYSCORE', root .. ':leases', '-inf', now, 'LIMIT', 0, limit)) do
    local name, effect = string.match(lease, '^(.*)%z(.-)$')
    local target = call('HGET', root .. ':hold:' .. name, 'target')
    found[#found + 1] = { name, target, effect, call('HGET', root .. ':hold:' .. name, 'by ' .. effect) }
  end
  return found
end)

-- The earliest end of a lease, or nothing.
reads.next_lease_end = lib.reading(function(root)
  local found = call('ZRANGE', root .. ':leases', 0, 0, 'WITHSCORES')
  return { found[2] or false }
end)
