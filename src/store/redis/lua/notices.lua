-- Notices, `notice:KEY`. `notices:STATE` lists them by when they were recorded, `notices:due` by when they are to be looked
-- at, `notices:done` those with nothing more to do, `leads:GROUP` those that lead their group.

local STATES = { 'new', 'waiting', 'delivered', 'detoured', 'failed', 'counted' }
local NOTICE = { 'group', 'at', 'state', 'leads', 'due', 'content' }

-- One as it comes: key, group, moment, state, whether it leads, when it is due, content.
local function read(take)
  local notice = { key = take(), group = take(), at = take(), state = take(), leads = take() }
  notice.due, notice.content = lib.maybe(take()), take()
  lib.number(notice.at)
  if notice.due then lib.number(notice.due) end
  return notice
end

-- How many, then each.
local function read_all(take)
  local notices = {}
  for at = 1, lib.number(take()) do notices[at] = read(take) end
  return notices
end

local function forget(root, key, old)
  call('DEL', root .. ':notice:' .. key)
  call('ZREM', root .. ':notices:' .. old.state, key)
  call('ZREM', root .. ':notices:due', key)
  call('ZREM', root .. ':notices:done', key)
  call('ZREM', root .. ':leads:' .. old.group, key)
end

local function save(root, notice)
  local key = notice.key
  local old = lib.fields(root .. ':notice:' .. key, NOTICE)
  if old.state then forget(root, key, old) end
  call('HSET', root .. ':notice:' .. key, 'group', notice.group, 'at', notice.at, 'state', notice.state, 'leads',
    notice.leads, 'due', notice.due or '', 'content', notice.content)
  call('ZADD', root .. ':notices:' .. notice.state, notice.at, key)
  if notice.due then
    call('ZADD', root .. ':notices:due', notice.due, key)
  else
    call('ZADD', root .. ':notices:done', notice.at, key)
  end
  if notice.leads == '1' then call('ZADD', root .. ':leads:' .. notice.group, notice.at, key) end
end

local function row(root, key)
  local notice = lib.fields(root .. ':notice:' .. key, NOTICE)
  if not notice.state then return false end
  return { key, notice.group, notice.at, notice.state, notice.leads, notice.due, notice.content }
end

local function rows(root, keys)
  local found = {}
  for at, key in ipairs(keys) do found[at] = row(root, key) end
  return found
end

-- notices: how many were new.
writes.put_notices = lib.writing(function(root, take)
  local new = 0
  for _, notice in ipairs(read_all(take)) do
    if call('EXISTS', root .. ':notice:' .. notice.key) == 0 then
      save(root, notice)
      new = new + 1
    end
  end
  return { new }, new > 0
end)

-- now, limit: rows, the longest due first.
reads.due_notices = lib.reading(function(root, take)
  local now, limit = take(), lib.number(take())
  return rows(root, call('ZRANGEBYSCORE', root .. ':notices:due', '-inf', now, 'LIMIT', 0, limit))
end)

-- group: the row of the one that leads, or nothing.
reads.leading_notice = lib.reading(function(root, take)
  return rows(root, call('ZREVRANGE', root .. ':leads:' .. take(), 0, 0))
end)

-- follower, holder, notices: `1` when they were written.
writes.save_notices = lib.writing(function(root, take)
  local follower, holder = take(), take()
  local notices = read_all(take)
  if lib.holder(root, follower) ~= holder then return { 0 } end
  for _, notice in ipairs(notices) do save(root, notice) end
  return { 1 }, #notices > 0
end)

-- key: the row, or nothing.
reads.notice = lib.reading(function(root, take)
  return { row(root, take()) }
end)

-- state, before, limit: rows, newest first.
reads.notices = lib.reading(function(root, take)
  local state, before, limit = lib.maybe(take()), lib.maybe(take()), lib.number(take())
  local keys = {}
  for _, word in ipairs(STATES) do
    if not state or state == word then keys[#keys + 1] = root .. ':notices:' .. word end
  end
  return rows(root, lib.newest(keys, before, limit))
end)

-- before, limit: forgets the oldest with nothing more to do; answers how many.
writes.forget_notices = lib.writing(function(root, take)
  local before, limit = take(), lib.number(take())
  local old = call('ZRANGEBYSCORE', root .. ':notices:done', '-inf', '(' .. before, 'LIMIT', 0, limit)
  for _, key in ipairs(old) do forget(root, key, lib.fields(root .. ':notice:' .. key, NOTICE)) end
  return { #old }, #old > 0
end)

lib.kinds.notice = {
  names = function(root, after, limit)
    local keys = {}
    for at, word in ipairs(STATES) do keys[at] = root .. ':notices:' .. word end
    return lib.places(lib.oldest(keys, after, '+inf', limit))
  end,
  by_time = true,
  row = row,
  take = read,
  put = function(root, _, notice) save(root, notice) end,
}
