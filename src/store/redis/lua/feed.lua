-- Followers of the feed, `follower:NAME`: who follows, until when, and where it stands. And the totals, which are the lengths
-- of indices and a few counters, so that counting costs the same however much there is.

-- follower.
reads.cursor = lib.reading(function(root, take)
  return { call('HGET', root .. ':follower:' .. take(), 'at') }
end)

-- follower, position.
writes.set_cursor = lib.writing(function(root, take)
  local key, position = root .. ':follower:' .. take(), take()
  local known = call('HGET', key, 'at')
  if lib.number(position) <= tonumber(known or '0') then return {} end
  call('HSET', key, 'at', position)
  return {}, true
end)

-- follower, holder, now, until.
writes.claim_follower = lib.writing(function(root, take)
  local key, holder, now, till = root .. ':follower:' .. take(), take(), lib.number(take()), take()
  lib.number(till)
  local known = lib.fields(key, { 'holder', 'until' })
  if known.holder and known.holder ~= holder and tonumber(known['until']) > now then return { 0 } end
  if known.holder == holder and known['until'] == till then return { 1 } end
  call('HSET', key, 'holder', holder, 'until', till)
  return { 1 }, true
end)

-- follower, holder.
writes.release_follower = lib.writing(function(root, take)
  local key, holder = root .. ':follower:' .. take(), take()
  if call('HGET', key, 'holder') ~= holder then return {} end
  call('HDEL', key, 'holder', 'until')
  return {}, true
end)

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
