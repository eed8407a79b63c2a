-- Frame of every function. A function is `writes.NAME(p, a)` or `reads.NAME(p, a)`: `p` is the partition's root, of
-- which every key is made as `p .. ':' .. …`, and `a` are its arguments, texts. It answers `ok(…)` or `no(code, …)`.
-- One that writes looks at everything first, calls `change()` before its first write, and may be repeated.
-- `raws.NAME(p, a)` are the lost-write detector's own: they work where others answer LOST.
-- The root itself is never a key: where a slot of a Cluster is on its way, the servers then refuse every call as one.

local writes, reads, raws = {}, {}, {}
local changed
-- True while calls are done again after a loss.
local replaying = false

local function ok(...)
  return { 'OK', '', ... }
end

local function no(code, ...)
  return { 'ERR', '', code, ... }
end

local function change()
  changed = true
end

-- What the caller was acknowledged: `seen` by anyone, `own` of what it wrote itself. A server that has less has lost
-- writes. Comparing its own finds a loss even when others have written since.
local function watermark(text)
  local seen, own, node = string.match(text or '', '^(%d+):(%d+):(.*)$')
  return tonumber(seen or 0), tonumber(own or 0), node or ''
end

local function generation(p)
  return tonumber(redis.call('GET', p .. ':gen') or 0)
end

-- The generation of what a node wrote last.
local function written_by(p, node)
  return tonumber(redis.call('HGET', p .. ':nodes', node) or 0)
end

local function lost(p)
  return { 'LOST', string.format('%.0f', generation(p)) }
end

-- What is left of the arguments after the watermark.
local function rest(args)
  local a = {}
  for n = 2, #args do
    a[n - 1] = args[n]
  end
  return a
end

local function call_read(f, keys, args)
  local p = keys[1]
  local seen, own, node = watermark(args[1])
  local now = generation(p)
  -- A partition that is parked may be looked at: people have to see what is there.
  if (now < seen or written_by(p, node) < own) and redis.call('EXISTS', p .. ':lost') == 0 then
    return lost(p)
  end
  local answer = f(p, rest(args))
  answer[2] = string.format('%.0f:0:0', now)
  return answer
end

local function call_write(f, keys, args)
  local p = keys[1]
  local seen, own, node = watermark(args[1])
  local now, mine = generation(p), written_by(p, node)
  if now < seen or mine < own or redis.call('EXISTS', p .. ':lost') == 1 then
    return lost(p)
  end
  changed, replaying = false, false
  local answer = f(p, rest(args))
  if changed then
    now = redis.call('INCR', p .. ':gen')
    mine = now
    redis.call('HSET', p .. ':nodes', node, string.format('%.0f', now))
  end
  -- The generation, that of this node's own last write, and whether this was one.
  answer[2] = string.format('%.0f:%.0f:%d', now, mine, changed and 1 or 0)
  return answer
end

local function call_raw(f, keys, args)
  local answer = f(keys[1], rest(args))
  answer[2] = string.format('%.0f:0:0', generation(keys[1]))
  return answer
end
