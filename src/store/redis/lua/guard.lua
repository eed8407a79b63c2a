-- The lost-write detector. A partition whose server has less than it acknowledged is parked: `lost` is the marker, and
-- while it stands nothing is written. Nodes bring what they were acknowledged and is gone to `rescue` (field
-- `GENERATION NODE`, in order in `rescue:order`); putting back calls the same functions again, in order.

-- guard_standing(node) -> generation of the node's last write, calls brought so far, then the marker's fields.
reads.guard_standing = function(p, a)
  local answer = ok(string.format('%.0f', written_by(p, a[1])), redis.call('HLEN', p .. ':rescue'))
  for _, part in ipairs(redis.call('HGETALL', p .. ':lost')) do
    answer[#answer + 1] = part
  end
  return answer
end

-- guard_rights(command, …) -> those that the user of the connection may not use on our keys.
reads.guard_rights = function(p, a)
  local answer = ok()
  for _, command in ipairs(a) do
    if not redis.acl_check_cmd(command, p .. ':gen') then
      answer[#answer + 1] = command
    end
  end
  return answer
end

-- guard_park(at, node, seen, own) -> generation of the node's last write, whether it was parked just now. Parks the
-- partition if the server is behind what this node was acknowledged; notes how far the node had come.
raws.guard_park = function(p, a)
  local at, node, seen, own = a[1], a[2], tonumber(a[3]), tonumber(a[4])
  local key, now, mine = p .. ':lost', generation(p), written_by(p, a[2])
  local is_new = redis.call('EXISTS', key) == 0
  if is_new and now >= seen and mine >= own then
    return ok(string.format('%.0f', mine), 0)
  end
  if is_new then
    redis.call('HSET', key, 'at', at, 'by', node, 'stored', string.format('%.0f', now), 'seen', '0')
  end
  if seen > tonumber(redis.call('HGET', key, 'seen')) then
    redis.call('HSET', key, 'seen', string.format('%.0f', seen))
  end
  if mine < own then
    redis.call('HSET', key, 'own ' .. node, string.format('%.0f', own))
  end
  return ok(string.format('%.0f', mine), is_new and 1 or 0)
end

-- guard_bring(node, generation, call): a call that the node was acknowledged and that is gone.
raws.guard_bring = function(p, a)
  if redis.call('EXISTS', p .. ':lost') == 0 then
    return no('MISSING')
  end
  local field = a[2] .. ' ' .. a[1]
  redis.call('HSET', p .. ':rescue', field, a[3])
  redis.call('ZADD', p .. ':rescue:order', a[2], field)
  return ok()
end

-- guard_brought(from, limit) -> field and call, in order of their generations.
reads.guard_brought = function(p, a)
  local answer = ok()
  for _, field in ipairs(redis.call('ZRANGE', p .. ':rescue:order', a[1], a[1] + a[2] - 1)) do
    answer[#answer + 1] = field
    answer[#answer + 1] = redis.call('HGET', p .. ':rescue', field) or ''
  end
  return answer
end

-- Words with which a function says that something else stands where this should.
local REFUSED = { CONFLICT = true, FENCED = true, GAP = true, MISSING = true }

-- guard_replay(node, generation, function, …): calls it again, as part of putting back. Answers what it answered.
raws.guard_replay = function(p, a)
  if redis.call('EXISTS', p .. ':lost') == 0 then
    return no('MISSING')
  end
  local node, made, f = a[1], tonumber(a[2]), writes[a[3]]
  if not f then
    return no('UNKNOWN', a[3])
  end
  local args = {}
  for n = 4, #a do
    args[n - 3] = a[n]
  end
  changed, replaying = false, true
  local answer = f(p, args)
  replaying = false
  if changed and generation(p) < made then
    redis.call('SET', p .. ':gen', string.format('%.0f', made))
  elseif changed then
    redis.call('INCR', p .. ':gen')
  end
  if written_by(p, node) < made then
    redis.call('HSET', p .. ':nodes', node, string.format('%.0f', made))
  end
  if REFUSED[answer[3]] and not changed then
    return no('REFUSED', answer[3])
  end
  return ok(changed and 1 or 0)
end

-- Recoveries that are kept, the latest.
local HISTORY_MAX = 100

-- guard_history() -> each recovery, the latest last.
reads.guard_history = function(p, a)
  local answer = ok()
  for _, one in ipairs(redis.call('LRANGE', p .. ':recoveries', 0, -1)) do
    answer[#answer + 1] = one
  end
  return answer
end

-- guard_lift(recovery): the marker goes, and with it what was brought. Every node that said how far it had come is heard out:
-- the generation is beyond all of them.
raws.guard_lift = function(p, a)
  local key = p .. ':lost'
  if redis.call('EXISTS', key) == 0 then
    return ok(0)
  end
  local fields = redis.call('HGETALL', key)
  local beyond = generation(p)
  for n = 1, #fields, 2 do
    local node = string.match(fields[n], '^own (.*)$')
    if fields[n] == 'seen' or node then
      beyond = math.max(beyond, tonumber(fields[n + 1]))
    end
    if node and written_by(p, node) < tonumber(fields[n + 1]) then
      redis.call('HSET', p .. ':nodes', node, fields[n + 1])
    end
  end
  redis.call('SET', p .. ':gen', string.format('%.0f', beyond + 1))
  redis.call('RPUSH', p .. ':recoveries', a[1])
  redis.call('LTRIM', p .. ':recoveries', -HISTORY_MAX, -1)
  redis.call('DEL', key, p .. ':rescue', p .. ':rescue:order')
  return ok(1)
end
