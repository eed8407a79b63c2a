-- Requests for approval, `approval:ID`, listed in `approvals:1` (open) and `approvals:0` (decided) by when they were asked
-- and in `approvals:of:RUN`; and the votes about a run's requests, `votes:RUN`: one field for each request, answer and principal.

-- Requests as they come: how many, then id, run, moment, whether it is open, state of each.
function lib.approvals(take)
  local rows = {}
  for at = 1, lib.number(take()) do
    rows[at] = { id = take(), run = take(), at = take(), open = take(), state = take() }
    lib.number(rows[at].at)
  end
  return rows
end

function lib.put_approval(root, row)
  local key = root .. ':approval:' .. row.id
  local old = lib.fields(key, { 'open', 'run' })
  call('HSET', key, 'run', row.run, 'at', row.at, 'open', row.open, 'state', row.state)
  if old.open and old.open ~= row.open then call('ZREM', root .. ':approvals:' .. old.open, row.id) end
  if old.run and old.run ~= row.run then call('SREM', root .. ':approvals:of:' .. old.run, row.id) end
  call('ZADD', root .. ':approvals:' .. row.open, row.at, row.id)
  call('SADD', root .. ':approvals:of:' .. row.run, row.id)
end

local function approval_row(root, id)
  local row = lib.fields(root .. ':approval:' .. id, { 'run', 'at', 'open', 'state' })
  if not row.run then return false end
  return { id, row.run, row.at, row.open, row.state }
end

-- Rows of a run's requests, in no order.
function lib.approvals_of(root, run)
  local rows = {}
  for at, id in ipairs(call('SMEMBERS', root .. ':approvals:of:' .. run)) do rows[at] = approval_row(root, id) end
  return rows
end

-- Forgets a run's requests.
function lib.drop_approvals(root, run)
  for _, id in ipairs(call('SMEMBERS', root .. ':approvals:of:' .. run)) do
    call('DEL', root .. ':approval:' .. id)
    call('ZREM', root .. ':approvals:1', id)
    call('ZREM', root .. ':approvals:0', id)
  end
  call('DEL', root .. ':approvals:of:' .. run)
end

-- approval, `1` or `0`, principal, at, vote.
writes.put_vote = lib.writing(function(root, take)
  local id, approve, principal, at, vote = take(), take(), take(), take(), take()
  lib.number(at)
  local row = lib.fields(root .. ':approval:' .. id, { 'run', 'open' })
  if not row.run then return { 'MISSING' } end
  if row.open ~= '1' then return { 'DECIDED' } end
  local run = lib.run(root, row.run)
  if not run.status then return { 'MISSING', row.run } end
  local woken = lib.wake(root, row.run, run, at)
  local new = call('HSETNX', root .. ':votes:' .. row.run, id .. ' ' .. approve .. ' ' .. principal, vote)
  if new == 1 then return { 'NEW' }, true end
  return { 'ALREADY' }, woken
end)

-- run: field and vote of each, in no order.
reads.votes = lib.reading(function(root, take)
  return call('HGETALL', root .. ':votes:' .. take())
end)

-- id: the row, or nothing.
reads.approval = lib.reading(function(root, take)
  return { approval_row(root, take()) }
end)

-- open, before, limit: rows, newest first.
reads.approvals = lib.reading(function(root, take)
  local open, before, limit = lib.maybe(take()), lib.maybe(take()), lib.number(take())
  local keys = {}
  for _, word in ipairs({ '1', '0' }) do
    if not open or open == word then keys[#keys + 1] = root .. ':approvals:' .. word end
  end
  local rows = {}
  for _, id in ipairs(lib.newest(keys, before, limit)) do rows[#rows + 1] = approval_row(root, id) end
  return rows
end)
