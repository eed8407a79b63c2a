-- Followers of the feed: `cursors` has where each stands, `followers` who follows and until when, `UNTIL HOLDER`. And the
-- totals, which are the lengths of indices and a few counters, so that counting costs the same however much there is.

-- follower.
reads.cursor = lib.reading(function(root, take)
  return { call('HGET', root .. ':cursors', take()) }
end)

-- follower, position.
writes.set_cursor = lib.writing(function(root, take)
  local follower, position = take(), take()
  local known = call('HGET', root .. ':cursors', follower)
  if lib.number(position) <= tonumber(known or '0') then return {} end
  call('HSET', root .. ':cursors', follower, position)
  return {}, true
end)

-- Until when, and who follows.
local function followed(root, follower)
  return string.match(call('HGET', root .. ':followers', follower) or '', '^(%S+) (.*)$')
end

-- Who follows.
function lib.holder(root, follower)
  local _, holder = followed(root, follower)
  return holder
end

local function put_follower(root, follower, to)
  call('HSET', root .. ':followers', follower, to.till .. ' ' .. to.holder)
end

-- follower, holder, now, until.
writes.claim_follower = lib.writing(function(root, take)
  local follower, holder, now, till = take(), take(), lib.number(take()), take()
  lib.number(till)
  local ends, theirs = followed(root, follower)
  if theirs and theirs ~= holder and tonumber(ends) > now then return { 0 } end
  if theirs == holder and ends == till then return { 1 } end
  put_follower(root, follower, { holder = holder, till = till })
  return { 1 }, true
end)

-- follower, holder.
writes.release_follower = lib.writing(function(root, take)
  local follower, holder = take(), take()
  if lib.holder(root, follower) ~= holder then return {} end
  call('HDEL', root .. ':followers', follower)
  return {}, true
end)

lib.kinds.cursor = {
  names = function(root, after, limit) return lib.keys(root .. ':cursors', after, limit) end,
  row = function(root, follower)
    local at = call('HGET', root .. ':cursors', follower)
    return at and { follower, at }
  end,
  take = function(take)
    local at = take()
    lib.number(at)
    return at
  end,
  put = function(root, follower, at) call('HSET', root .. ':cursors', follower, at) end,
}

lib.kinds.follower = {
  names = function(root, after, limit) return lib.keys(root .. ':followers', after, limit) end,
  row = function(root, follower)
    local till, holder = followed(root, follower)
    return till and { follower, holder, till }
  end,
  take = function(take)
    local to = { holder = take(), till = take() }
    lib.number(to.till)
    return to
  end,
  put = put_follower,
}

-- The end of a feed may be put further, never back.
lib.kinds.feed = {
  names = function(root, after)
    if after or call('EXISTS', root .. ':position') == 0 then return {} end
    return { '' }
  end,
  row = function(root)
    local last = call('GET', root .. ':position')
    return last and { last }
  end,
  take = function(take) return lib.number(take()) end,
  put = function(root, _, last)
    if last > tonumber(call('GET', root .. ':position') or '0') then
      call('SET', root .. ':position', string.format('%.0f', last))
    end
  end,
  moves = true,
}

-- now: alerts, repeats, runs, ends, stuck, holds, overdue, notices, when the longest due notice was due.
reads.counts = lib.reading(function(root, take)
  local now = take()
  local function sizes(kind, words)
    local found = {}
    for _, word in ipairs(words) do
      found[#found + 1] = word
      found[#found + 1] = call('ZCARD', root .. ':' .. kind .. ':' .. word)
    end
    return found
  end
  local due = call('ZRANGEBYSCORE', root .. ':notices:due', '-inf', now, 'WITHSCORES', 'LIMIT', 0, 1)
  return {
    sizes('alerts', { 'pending', 'split', 'unreadable', 'control' }),
    call('GET', root .. ':repeats') or '0',
    sizes('runs', { 'open', 'parked', 'settled' }),
    call('HGETALL', root .. ':ends'),
    call('ZCARD', root .. ':stuck'),
    call('ZCARD', root .. ':holds'),
    call('ZCOUNT', root .. ':leases', '-inf', now),
    sizes('notices', { 'new', 'waiting', 'delivered', 'detoured', 'failed', 'counted' }),
    due[2] or false,
  }
end)
