-- Chains and the feed. A chain is a list, an entry's index is its place. An entry is one line:
-- `POSITION(16) DIGEST(64) SALT(32) KIND PAYLOAD`; all but the position is the caller's. The feed is `feed`, `CHAIN SEQ`
-- by position; `position` is the last one given, and none is given twice, whatever was forgotten.

-- Entries as they come: how many, then digest and the rest of each.
function lib.entries(take)
  local entries = {}
  for at = 1, lib.number(take()) do
    entries[at] = { digest = take(), rest = take() }
    if #entries[at].digest ~= 64 then error('not a digest') end
  end
  return entries
end

-- Whether entries meant for place `expected` on follow a chain of `len` entries: `next`, `there`, or a refusal.
function lib.follow(root, chain, len, expected, entries)
  if expected > len then return false, { 'GAP', len } end
  if expected == len then return 'next' end
  for at, entry in ipairs(entries) do
    local seq = expected + at - 1
    local line = call('LINDEX', root .. ':journal:' .. chain, seq)
    if not line or string.sub(line, 18, 81) ~= entry.digest then
      return false, { 'CONFLICT', seq }
    end
  end
  return 'there'
end

-- Writes entries to the end of a chain of `len` entries and of the feed.
function lib.push(root, chain, len, entries)
  local count = #entries
  if count == 0 then return end
  local before = call('INCRBY', root .. ':position', count) - count
  for at, entry in ipairs(entries) do
    local line = string.format('%016.0f ', before + at) .. entry.digest .. ' ' .. entry.rest
    call('RPUSH', root .. ':journal:' .. chain, line)
    call('ZADD', root .. ':feed', string.format('%.0f', before + at), string.format('%s %.0f', chain, len + at - 1))
  end
end

-- chain, from, limit: lines of a chain from a place on.
reads.journal = lib.reading(function(root, take)
  local chain, from, limit = take(), lib.number(take()), lib.number(take())
  return call('LRANGE', root .. ':journal:' .. chain, from, from + limit - 1)
end)

-- after, limit: position, chain, place and line of each entry after a position.
reads.feed = lib.reading(function(root, take)
  local after, limit = take(), lib.number(take())
  local found = {}
  for _, item in ipairs(call('ZRANGEBYSCORE', root .. ':feed', '(' .. after, '+inf', 'LIMIT', 0, limit)) do
    local chain, seq = string.match(item, '^(%S+) (%d+)$')
    local line = call('LINDEX', root .. ':journal:' .. chain, seq)
    found[#found + 1] = string.match(line, '^0*(%d+)')
    found[#found + 1] = chain
    found[#found + 1] = seq
    found[#found + 1] = line
  end
  return found
end)

-- Every line of a chain.
function lib.lines(root, chain)
  return call('LRANGE', root .. ':journal:' .. chain, 0, -1)
end

-- The last position of a chain's entries; 0 when there are none.
function lib.last_position(root, chain)
  local line = call('LINDEX', root .. ':journal:' .. chain, -1)
  return tonumber(line and string.sub(line, 1, 16) or '0')
end

-- Whether one of these followers has not read all of a chain.
function lib.is_unread(root, chain, followers)
  local last = lib.last_position(root, chain)
  for _, follower in ipairs(followers) do
    if tonumber(call('HGET', root .. ':cursors', follower) or '0') < last then return true end
  end
  return false
end

-- Forgets a chain and its places in the feed, and remembers that its id was used.
function lib.drop_chain(root, chain, len, at)
  local members = {}
  for seq = 0, len - 1 do
    members[#members + 1] = string.format('%s %.0f', chain, seq)
    if #members == 256 or seq == len - 1 then
      call('ZREM', root .. ':feed', unpack(members))
      members = {}
    end
  end
  call('DEL', root .. ':journal:' .. chain)
  call('ZADD', root .. ':gone', at, chain)
end

-- Whether an alert or a run of this id was forgotten.
function lib.is_gone(root, id)
  return call('ZSCORE', root .. ':gone', id)
end
