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

-- A function that only reads.
function lib.reading(work)
  return function(root, args)
    return answer(work(root, reader(args)))
  end
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
