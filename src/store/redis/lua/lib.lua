-- What the functions share. Redis runs a function alone, and does not undo what it wrote before it failed: so every function
-- reads and checks first, and writes only when nothing can be refused any more.
--
-- What is opaque stays bytes: no stored JSON is read here. Moments and counts come and go as text, because numbers of Lua
-- are doubles: whole up to 2^53, which milliseconds since 1970, epochs, lengths and positions stay below. Where a moment is
-- a score, one beyond that is rounded; the text of it is not.

local lib = {}

-- The server's commands exist only once a function is called, not yet when the library is loaded.
local function call(...)
  return redis.call(...)
end

-- Arguments, one after the other.
local function reader(args)
  local at = 0
  return function()
    at = at + 1
    local value = args[at]
    if value == nil then error('too few arguments') end
    return value
  end
end

local function answer(given)
  local reply = ok()
  for at = 1, #given do reply[at + 2] = given[at] end
  return reply
end

-- A function that may write. `work` takes the root and a reader of arguments; it answers what it found, and whether it wrote
-- anything. A refusal is an answer like any other, with a word of its own.
function lib.writing(work)
  return function(root, args)
    local given, wrote = work(root, reader(args))
    if wrote then change() end
    return answer(given)
  end
end

-- This server's present, ms since 1970.
local function present()
  local time = call('TIME')
  return tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
end

-- The same of what a worker asks for under a claim: the first argument is the moment from which it comes too late. What is
-- put back after a loss was done in time.
function lib.writing_before(work)
  return function(root, args)
    local take = reader(args)
    local before = lib.number(take())
    if not replaying and present() >= before then return no('LATE') end
    local given, wrote = work(root, take)
    if wrote then change() end
    return answer(given)
  end
end

-- A function that only reads.
function lib.reading(work)
  return function(root, args)
    return answer(work(root, reader(args)))
  end
end

-- By the word of each kind of record: how they are named in order, read whole, taken as arguments and put.
lib.kinds = {}

-- Texts as they come: how many, then each.
function lib.texts(take)
  local texts = {}
  for at = 1, tonumber(take()) do texts[at] = take() end
  return texts
end

-- A place among things that are ordered by moment, then name; empty before the first.
function lib.place(take)
  local score, name = take(), take()
  if score == '' then return false end
  if not tonumber(score) then error('not a place') end
  return { score = score, name = name }
end

-- Things with their moments: their names, and the place of the last.
function lib.places(found)
  local names, last = {}, false
  for at, one in ipairs(found) do
    names[at] = one.name
    last = one.text .. ' ' .. one.name
  end
  return names, last
end

-- Fields of a small hash by name after one, at most so many.
function lib.keys(key, after, limit)
  local all, names = call('HKEYS', key), {}
  table.sort(all)
  for _, name in ipairs(all) do
    if #names < limit and (not after or name > after) then names[#names + 1] = name end
  end
  return names
end

-- Things with their moments, as one list of names and moments.
function lib.flat(found)
  local flat = {}
  for _, one in ipairs(found) do
    flat[#flat + 1] = one.name
    flat[#flat + 1] = one.text
  end
  return flat
end

-- What may be left out is sent empty.
function lib.maybe(text)
  if text == '' then return false end
  return text
end

function lib.number(text)
  local number = tonumber(text)
  if not number then error('not a number') end
  return number
end

-- The earlier of two moments, of which there may be none.
function lib.earlier(one, other)
  if not one then return other end
  if not other then return one end
  if lib.number(other) < lib.number(one) then return other end
  return one
end

-- Fields of a hash by name; `false` where there is none.
function lib.fields(key, names)
  local values, found = call('HMGET', key, unpack(names)), {}
  for at, name in ipairs(names) do found[name] = values[at] end
  return found
end

-- Members of several indices together from the oldest on, then by name; those after a place, none above `high`, at most so
-- many, each with its score.
function lib.oldest(keys, after, high, limit)
  local low, found = '-inf', {}
  if after then low = after.score end
  for _, key in ipairs(keys) do
    local offset, got = 0, 0
    repeat
      local part = call('ZRANGEBYSCORE', key, low, high, 'WITHSCORES', 'LIMIT', offset, 256)
      for at = 1, #part, 2 do
        local score = tonumber(part[at + 1])
        if got < limit and not (after and score == tonumber(low) and part[at] <= after.name) then
          found[#found + 1] = { name = part[at], score = score, text = part[at + 1] }
          got = got + 1
        end
      end
      offset = offset + 256
    until got >= limit or #part < 512
  end
  table.sort(found, function(one, other)
    if one.score ~= other.score then return one.score < other.score end
    return one.name < other.name
  end)
  for at = #found, limit + 1, -1 do found[at] = nil end
  return found
end

-- Members of an index by name after one, at most so many.
function lib.named(key, after, limit)
  local low = '-'
  if after then low = '(' .. after end
  return call('ZRANGEBYLEX', key, low, '+', 'LIMIT', 0, limit)
end

-- Members of several indices together, newest first, then by name from the end; those before a moment, at most so many.
function lib.newest(keys, before, limit)
  local high = '+inf'
  if before then high = '(' .. before end
  local found = {}
  for _, key in ipairs(keys) do
    local part = call('ZREVRANGEBYSCORE', key, high, '-inf', 'WITHSCORES', 'LIMIT', 0, limit)
    for at = 1, #part, 2 do
      found[#found + 1] = { name = part[at], score = tonumber(part[at + 1]) }
    end
  end
  if #keys > 1 then
    table.sort(found, function(one, other)
      if one.score ~= other.score then return one.score > other.score end
      return one.name > other.name
    end)
  end
  local names = {}
  for at = 1, math.min(#found, limit) do names[at] = found[at].name end
  return names
end
