-- Chains and the feed. A chain is a list, an entry's index is its place. An entry is one line:
-- `POSITION(16) DIGEST(64) SALT(32) KIND PAYLOAD`; all but the position is the caller's. The feed is a stream without a
-- length: the id is `POSITION-0`, and a stream takes no id twice, whatever was deleted.

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
    local id = string.format('%.0f-0', before + at)
    call('XADD', root .. ':feed', id, 'chain', chain, 'seq', len + at - 1)
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
  for _, item in ipairs(call('XRANGE', root .. ':feed', '(' .. after .. '-0', '+', 'COUNT', limit)) do
    local id, chain, seq = item[1], item[2][2], item[2][4]
    local line = call('LINDEX', root .. ':journal:' .. chain, seq)
    found[#found + 1] = string.match(id, '^%d+')
    found[#found + 1] = chain
    found[#found + 1] = seq
    found[#found + 1] = line
  end
  return found
end)
