-- Budgets, `budget:SCOPE`: who has a place, by the moment it was taken.

-- A place taken at this moment or before is free.
local function gone(now, window)
  return string.format('%.0f', now - window)
end

-- scope, member, now, window, limit.
writes.budget_reserve = lib.writing(function(root, take)
  local key, member = root .. ':budget:' .. take(), take()
  local now, window, limit = lib.number(take()), lib.number(take()), lib.number(take())
  local freed = call('ZREMRANGEBYSCORE', key, '-inf', gone(now, window)) > 0
  if call('ZSCORE', key, member) then return { 'GRANTED' }, freed end
  local used = call('ZCARD', key)
  if used < limit then
    call('ZADD', key, string.format('%.0f', now), member)
    return { 'GRANTED' }, true
  end
  -- The place whose end leaves one free: the oldest, unless the limit was lowered since.
  local next_free = call('ZRANGE', key, used - limit, used - limit, 'WITHSCORES')[2]
  local free_at = now
  if next_free then free_at = tonumber(next_free) + window end
  return { 'SPENT', used, string.format('%.0f', free_at) }, freed
end)

-- scope, member.
writes.budget_release = lib.writing(function(root, take)
  local key, member = root .. ':budget:' .. take(), take()
  return {}, call('ZREM', key, member) == 1
end)

-- scope, now, window.
reads.budget_used = lib.reading(function(root, take)
  local key, now, window = root .. ':budget:' .. take(), lib.number(take()), lib.number(take())
  return { call('ZCOUNT', key, '(' .. gone(now, window), '+inf') }
end)
