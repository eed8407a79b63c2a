-- Budgets, `budget:SCOPE`: who has a place, by the moment it was taken; `budgets` has the scopes by name.

-- A place taken at this moment or before is free.
local function gone(now, window)
  return string.format('%.0f', now - window)
end

local function put(root, scope, member, at)
  call('ZADD', root .. ':budget:' .. scope, at, member)
  call('ZADD', root .. ':budgets', 0, scope)
end

-- Named `SCOPE\0MEMBER`; a place among them is that of a scope's members by moment.
lib.kinds.budget = {
  names = function(root, after, limit)
    local scope, score, member = string.match(after or '', '^(%Z*)%z(%Z*)%z(%Z*)$')
    local names, last = {}, false
    local function collect(one, from)
      for _, found in ipairs(lib.oldest({ root .. ':budget:' .. one }, from, '+inf', limit - #names)) do
        names[#names + 1] = one .. '\0' .. found.name
        last = one .. '\0' .. found.text .. '\0' .. found.name
      end
    end
    if scope then collect(scope, { score = score, name = member }) end
    while #names < limit do
      local following = lib.named(root .. ':budgets', scope, 1)[1]
      if not following then break end
      scope = following
      collect(scope, false)
    end
    return names, last
  end,
  row = function(root, name)
    local scope, member = string.match(name, '^(%Z*)%z(%Z*)$')
    local at = call('ZSCORE', root .. ':budget:' .. scope, member)
    return at and { scope, member, at }
  end,
  take = function(take)
    local at = take()
    lib.number(at)
    return at
  end,
  put = function(root, name, at)
    local scope, member = string.match(name, '^(%Z*)%z(%Z*)$')
    put(root, scope, member, at)
  end,
}

-- scope, member, now, window, limit.
writes.budget_reserve = lib.writing(function(root, take)
  local scope, member = take(), take()
  local key = root .. ':budget:' .. scope
  local now, window, limit = lib.number(take()), lib.number(take()), lib.number(take())
  local freed = call('ZREMRANGEBYSCORE', key, '-inf', gone(now, window)) > 0
  if call('ZSCORE', key, member) then return { 'GRANTED' }, freed end
  local used = call('ZCARD', key)
  if used < limit then
    put(root, scope, member, string.format('%.0f', now))
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
  local scope, member = take(), take()
  if call('ZREM', root .. ':budget:' .. scope, member) == 0 then return {} end
  if call('ZCARD', root .. ':budget:' .. scope) == 0 then call('ZREM', root .. ':budgets', scope) end
  return {}, true
end)

-- scope, now, window.
reads.budget_used = lib.reading(function(root, take)
  local key, now, window = root .. ':budget:' .. take(), lib.number(take()), lib.number(take())
  return { call('ZCOUNT', key, '(' .. gone(now, window), '+inf') }
end)
