-- Runs. `run:ID` has the fields that functions read; `run:ID:about` and `run:ID:waits` are the caller's words beside it.
-- `runs:STATUS` and `runs:STATUS:PLAYBOOK` list them by their beginning, `over` those that are settled by their last append. An open run is in exactly one of
--   `due`      nobody has it: by the moment it is to be looked at
--   `claimed`  a worker has it: by the moment others may take it, when the claim is over and it is due
--   `stuck`    nobody has it and nothing will wake it, which must not be
-- `worker:NAME` is what a worker has, open or not.

local STATUSES = { 'open', 'parked', 'settled' }
local RUN = {
  'status', 'end', 'playbook', 'started', 'updated', 'wake', 'woken', 'epoch', 'worker', 'until', 'len', 'last',
}
-- Most claims that are over which one call looks at: more than all that one worker may have.
local OVER_MAX = 1024

function lib.run(root, id)
  return lib.fields(root .. ':run:' .. id, RUN)
end

-- Where an open run is found.
local function place(run)
  if run.status ~= 'open' then return false end
  if not run['until'] then
    if run.wake then return 'due', run.wake end
    return 'stuck', '0'
  end
  local due, till = run.wake or run['until'], run['until']
  if lib.number(due) < lib.number(till) then due = till end
  return 'claimed', due
end

local function index(root, id, run, command)
  local names = { root .. ':runs:' .. run.status, root .. ':runs:' .. run.status .. ':' .. run.playbook }
  for _, name in ipairs(names) do
    if command == 'ZADD' then call('ZADD', name, run.started, id) else call('ZREM', name, id) end
  end
end

-- Writes what is different and puts the run where it now belongs.
function lib.change(root, id, was, to)
  local run, set, gone = {}, {}, {}
  for _, field in ipairs(RUN) do
    local value = to[field]
    if value == nil then value = was[field] end
    run[field] = value
    if value ~= was[field] then
      if value then
        set[#set + 1] = field
        set[#set + 1] = value
      else
        gone[#gone + 1] = field
      end
    end
  end
  local key = root .. ':run:' .. id
  if #set > 0 then call('HSET', key, unpack(set)) end
  if #gone > 0 then call('HDEL', key, unpack(gone)) end
  if run.status ~= was.status then
    if was.status then index(root, id, was, 'ZREM') end
    index(root, id, run, 'ZADD')
  end
  if run.status == 'settled' then
    if was.status ~= 'settled' or run.updated ~= was.updated then call('ZADD', root .. ':over', run.updated, id) end
  elseif was.status == 'settled' then
    call('ZREM', root .. ':over', id)
  end
  if run['end'] ~= was['end'] then
    if was['end'] then call('HINCRBY', root .. ':ends', was['end'], -1) end
    if run['end'] then call('HINCRBY', root .. ':ends', run['end'], 1) end
  end
  if run.worker ~= was.worker then
    if was.worker then call('SREM', root .. ':worker:' .. was.worker, id) end
    if run.worker then call('SADD', root .. ':worker:' .. run.worker, id) end
  end
  local from, score = place(was)
  local into, new = place(run)
  if from ~= into and from then call('ZREM', root .. ':' .. from, id) end
  if into and (from ~= into or score ~= new) then call('ZADD', root .. ':' .. into, new, id) end
  return #set > 0 or #gone > 0
end

-- Gives a run to a worker; answers the claim's epoch.
local function claim(root, id, run, worker, till)
  local epoch = string.format('%.0f', tonumber(run.epoch) + 1)
  lib.change(root, id, run, { epoch = epoch, worker = worker, ['until'] = till, woken = false })
  return epoch
end

-- Remembers the claims a call was given, for a repeat whose answer was lost; of no use for longer than anybody repeats.
local function give(root, worker, ask, claims)
  call('SET', root .. ':asked:' .. worker, ask .. ' ' .. table.concat(claims, ' '), 'EX', 3600)
end

-- Those of them that are still the worker's, if this call was given any.
local function given_before(root, worker, ask)
  local before = call('GET', root .. ':asked:' .. worker)
  if not before or string.sub(before, 1, #ask + 1) ~= ask .. ' ' then return false end
  local again = {}
  for id, epoch in string.gmatch(string.sub(before, #ask + 2), '(%S+) (%S+)') do
    local run = lib.run(root, id)
    if run.worker == worker and run.epoch == epoch then
      again[#again + 1] = id
      again[#again + 1] = epoch
    end
  end
  return again
end

-- id, about, playbook, started, updated, waits, wake, entries.
writes.create_run = lib.writing(function(root, take)
  local id, about, playbook, started, updated = take(), take(), take(), take(), take()
  local waits, wake, entries = take(), lib.maybe(take()), lib.entries(take)
  lib.number(started)
  if wake then lib.number(wake) end
  local key = root .. ':run:' .. id
  if call('EXISTS', key) == 1 or lib.is_gone(root, id) then return { 'EXISTS' } end
  call('SET', key .. ':about', about)
  if waits ~= '' then call('SET', key .. ':waits', waits) end
  lib.change(root, id, {}, {
    status = 'open', playbook = playbook, started = started, updated = updated, wake = wake, epoch = '0', len = '1',
    last = entries[1].digest,
  })
  lib.push(root, id, 0, entries)
  return { 'NEW' }, true
end)

-- worker, now, until, limit, ask: id and epoch of each claim. The same `ask` again answers the claims it was given.
writes.claim_due = lib.writing(function(root, take)
  local worker, now, till, limit, ask = take(), take(), take(), lib.number(take()), take()
  lib.number(till)
  local again = given_before(root, worker, ask)
  if again then return again end
  local found = {}
  local free = call('ZRANGEBYSCORE', root .. ':due', '-inf', now, 'LIMIT', 0, limit)
  for at, id in ipairs(free) do
    local run = lib.run(root, id)
    found[at] = { id = id, run = run, due = lib.number(run.wake) }
  end
  local over = call('ZRANGEBYSCORE', root .. ':claimed', '-inf', now, 'LIMIT', 0, OVER_MAX)
  for _, id in ipairs(over) do
    local run = lib.run(root, id)
    found[#found + 1] = { id = id, run = run, due = lib.number(run.wake or run['until']) }
  end
  if #over > 0 then
    table.sort(found, function(one, other)
      if one.due ~= other.due then return one.due < other.due end
      return one.id < other.id
    end)
  end
  local claims = {}
  for at = 1, math.min(#found, limit) do
    claims[#claims + 1] = found[at].id
    claims[#claims + 1] = claim(root, found[at].id, found[at].run, worker, till)
  end
  if #claims == 0 then return claims end
  give(root, worker, ask, claims)
  return claims, true
end)

-- id, worker, now, until, ask: the epoch, or nothing. The same `ask` again answers the claim it was given.
writes.claim_run = lib.writing(function(root, take)
  local id, worker, now, till, ask = take(), take(), lib.number(take()), take(), take()
  lib.number(till)
  local again = given_before(root, worker, ask)
  if again then return { again[2] } end
  local run = lib.run(root, id)
  if not run.status then return { 'MISSING' } end
  local free = not run['until'] or tonumber(run['until']) <= now
  if run.status ~= 'open' or not (free or run.worker == worker) then return {} end
  local epoch = claim(root, id, run, worker, till)
  give(root, worker, ask, { id, epoch })
  return { epoch }, true
end)

-- id, epoch, until.
writes.renew = lib.writing(function(root, take)
  local id, epoch, till = take(), take(), take()
  lib.number(till)
  local run = lib.run(root, id)
  if not run.status then return { 'MISSING' } end
  if run.epoch ~= epoch or not run.worker then return { 'FENCED', run.epoch } end
  return {}, lib.change(root, id, run, { ['until'] = till })
end)

-- id, epoch, expected, now, status, end, wake, waits, release, entries, then requests for approval.
writes.append = lib.writing(function(root, take)
  local id, epoch, expected, now = take(), take(), lib.number(take()), take()
  local status, ended, wake = take(), lib.maybe(take()), lib.maybe(take())
  local waits, release = take(), take() == '1'
  local entries, approvals = lib.entries(take), lib.approvals(take)
  lib.number(now)
  if wake then lib.number(wake) end
  local run = lib.run(root, id)
  if not run.status then return { 'MISSING' } end
  if run.epoch ~= epoch then return { 'FENCED', run.epoch } end
  local len = tonumber(run.len)
  local place, refusal = lib.follow(root, id, len, expected, entries)
  if refusal then return refusal end
  if place == 'there' then return { 'ALREADY' } end
  if not run.worker then return { 'FENCED', run.epoch } end

  lib.push(root, id, len, entries)
  for _, approval in ipairs(approvals) do lib.put_approval(root, approval) end
  local to = { status = status, ['end'] = ended, updated = now, wake = false }
  if status == 'open' then to.wake = lib.earlier(wake, run.woken) end
  if release then
    to.worker = false
    to['until'] = false
  end
  if #entries > 0 then
    to.len = string.format('%.0f', len + #entries)
    to.last = entries[#entries].digest
  end
  lib.change(root, id, run, to)
  local words = root .. ':run:' .. id .. ':waits'
  if waits == '' then call('DEL', words) else call('SET', words, waits) end
  return { 'NEW' }, true
end)

-- Makes an open run due at a moment at the latest; answers whether anything is different now.
function lib.wake(root, id, run, at)
  if run.status ~= 'open' then return false end
  return lib.change(root, id, run, { wake = lib.earlier(run.wake, at), woken = lib.earlier(run.woken, at) })
end

-- id, at.
writes.wake = lib.writing(function(root, take)
  local id, at = take(), take()
  lib.number(at)
  local run = lib.run(root, id)
  if not run.status then return { 'MISSING' } end
  return {}, lib.wake(root, id, run, at)
end)

-- worker, limit: gives back up to so many claims; answers how many.
writes.release_worker = lib.writing(function(root, take)
  local worker, limit = take(), lib.number(take())
  local asked = call('DEL', root .. ':asked:' .. worker)
  local ids = call('SRANDMEMBER', root .. ':worker:' .. worker, limit)
  for _, id in ipairs(ids) do
    local run = lib.run(root, id)
    local to = { worker = false, ['until'] = false }
    if run.status == 'open' and not run.wake then to.wake = run.updated end
    lib.change(root, id, run, to)
  end
  return { #ids }, #ids > 0 or asked > 0
end)

local function run_row(root, id)
  local run, key = lib.run(root, id), root .. ':run:' .. id
  if not run.status then return false end
  return {
    id, call('GET', key .. ':about'), run.status, run['end'], run.started, run.updated, call('GET', key .. ':waits'), run.wake,
    run.epoch, run.worker, run.len, run.last,
  }
end

-- id: the row of one, or nothing.
reads.run = lib.reading(function(root, take)
  return { run_row(root, take()) }
end)

-- status, playbook, before, limit: rows, newest first.
reads.runs = lib.reading(function(root, take)
  local status, playbook, before, limit = lib.maybe(take()), lib.maybe(take()), lib.maybe(take()), lib.number(take())
  local keys = {}
  for _, word in ipairs(STATUSES) do
    if not status or status == word then
      local key = root .. ':runs:' .. word
      if playbook then key = key .. ':' .. playbook end
      keys[#keys + 1] = key
    end
  end
  local rows = {}
  for _, id in ipairs(lib.newest(keys, before, limit)) do rows[#rows + 1] = run_row(root, id) end
  return rows
end)

-- Forgets a settled one, once all of its entries were read: id, at, followers.
writes.forget_run = lib.writing(function(root, take)
  local id, at, followers = take(), take(), lib.texts(take)
  lib.number(at)
  local run, key = lib.run(root, id), root .. ':run:' .. id
  if not run.status then return { 'ALREADY' } end
  if run.status ~= 'settled' then return { 'OPEN' } end
  if lib.is_unread(root, id, followers) then return { 'UNREAD' } end
  index(root, id, run, 'ZREM')
  call('ZREM', root .. ':over', id)
  if run['end'] then call('HINCRBY', root .. ':ends', run['end'], -1) end
  if run.worker then call('SREM', root .. ':worker:' .. run.worker, id) end
  lib.drop_approvals(root, id)
  call('DEL', key, key .. ':about', key .. ':waits', root .. ':votes:' .. id, root .. ':signals:' .. id)
  lib.drop_chain(root, id, tonumber(run.len), at)
  return { 'NOW' }, true
end)

-- before, after (moment and id), limit: id and moment of those that are settled, the longest ago first.
reads.old_runs = lib.reading(function(root, take)
  local before, after, limit = take(), lib.place(take), lib.number(take())
  return lib.flat(lib.oldest({ root .. ':over' }, after, '(' .. before, limit))
end)

lib.kinds.run = {
  names = function(root, after, limit)
    local keys = {}
    for at, word in ipairs(STATUSES) do keys[at] = root .. ':runs:' .. word end
    return lib.places(lib.oldest(keys, after, '+inf', limit))
  end,
  by_time = true,
  row = function(root, id)
    local row = run_row(root, id)
    if not row then return false end
    local run = lib.run(root, id)
    return {
      row, run['until'], run.woken, lib.lines(root, id), lib.approvals_of(root, id), call('HGETALL', root .. ':votes:' .. id),
      call('HGETALL', root .. ':signals:' .. id),
    }
  end,
  take = function(take)
    local to, fields = {}, {}
    to.about, to.waits = take(), take()
    for _, field in ipairs(RUN) do fields[field] = lib.maybe(take()) end
    to.fields, to.chain, to.approvals = fields, lib.items(take), lib.approvals(take)
    to.votes, to.signals = lib.texts(take), lib.texts(take)
    for _, field in ipairs({ 'started', 'updated', 'epoch', 'len' }) do lib.number(fields[field] or '') end
    for _, field in ipairs({ 'wake', 'woken', 'until' }) do
      if fields[field] then lib.number(fields[field]) end
    end
    return to
  end,
  put = function(root, id, to)
    local key = root .. ':run:' .. id
    call('SET', key .. ':about', to.about)
    if to.waits ~= '' then call('SET', key .. ':waits', to.waits) end
    lib.change(root, id, {}, to.fields)
    for _, approval in ipairs(to.approvals) do lib.put_approval(root, approval) end
    for at = 1, #to.votes, 2 do call('HSET', root .. ':votes:' .. id, to.votes[at], to.votes[at + 1]) end
    for at = 1, #to.signals, 2 do call('HSET', root .. ':signals:' .. id, to.signals[at], to.signals[at + 1]) end
    lib.put_items(root, id, to.chain)
  end,
}

-- The moment at which a run can next be claimed, or nothing.
reads.next_wake = lib.reading(function(root)
  local first = false
  for _, name in ipairs({ 'due', 'claimed' }) do
    local found = call('ZRANGE', root .. ':' .. name, 0, 0, 'WITHSCORES')
    if found[2] then first = lib.earlier(first, found[2]) end
  end
  return { first }
end)
