-- Records out and in, and what is forgotten by age. What a record is made of stands with the functions of its noun, in
-- `lib.kinds`.

-- Bytes after which a page is full: a record may be large, and a page of them must still be answered.
local PAGE_BYTES = 4194304

-- Entries as they come: how many, then position, digest and the rest of each.
function lib.items(take)
  local items = {}
  for at = 1, lib.number(take()) do
    items[at] = { position = lib.number(take()), digest = take(), rest = take() }
    if #items[at].digest ~= 64 then error('not a digest') end
  end
  return items
end

-- Puts a whole chain where it was elsewhere.
function lib.put_items(root, chain, items)
  local last = tonumber(call('GET', root .. ':position') or '0')
  for at, item in ipairs(items) do
    local line = string.format('%016.0f ', item.position) .. item.digest .. ' ' .. item.rest
    call('RPUSH', root .. ':journal:' .. chain, line)
    call('ZADD', root .. ':feed', string.format('%.0f', item.position), string.format('%s %.0f', chain, at - 1))
    last = math.max(last, item.position)
  end
  if #items > 0 then call('SET', root .. ':position', string.format('%.0f', last)) end
end

lib.kinds.gone = {
  names = function(root, after, limit) return lib.places(lib.oldest({ root .. ':gone' }, after, '+inf', limit)) end,
  by_time = true,
  row = function(root, chain)
    local at = lib.is_gone(root, chain)
    return at and { chain, at }
  end,
  take = function(take)
    local at = take()
    lib.number(at)
    return at
  end,
  put = function(root, chain, at) call('ZADD', root .. ':gone', at, chain) end,
}

local function bytes_of(value)
  if type(value) ~= 'table' then return #tostring(value) end
  local bytes = 0
  for _, part in ipairs(value) do bytes = bytes + bytes_of(part) end
  return bytes
end

-- kind, after, limit: where to go on, empty at the end, and the records after a place.
reads.dump = lib.reading(function(root, take)
  local kind, after, limit = lib.kinds[take()], lib.maybe(take()), lib.number(take())
  if not kind then error('no such kind') end
  local place = after
  if after and kind.by_time then
    local score, name = string.match(after, '^(%S+) (.*)$')
    if not score or not tonumber(score) then return { 'STRANGE' } end
    place = { score = score, name = name }
  end
  local names, last = kind.names(root, place, limit)
  local given, bytes = { '' }, 0
  for at, name in ipairs(names) do
    local row = kind.row(root, name)
    if row then
      given[#given + 1] = row
      bytes = bytes + bytes_of(row)
    end
    if bytes > PAGE_BYTES and at < #names then
      -- The rest is for the next page, which begins after this one.
      local _, cut = kind.names(root, place, at)
      given[1] = cut or name
      return given
    end
  end
  if #names == limit then given[1] = last or names[#names] end
  return given
end)

-- kind, name: one record, or nothing.
reads.record = lib.reading(function(root, take)
  local kind, name = lib.kinds[take()], take()
  if not kind then error('no such kind') end
  return { kind.row(root, name) }
end)

-- How many, then kind, name and content of each record that is not there: writes all of them, or none and says which one
-- stands in the way, `THERE` by its number or `PLACE` by a place of the feed.
writes.restore = lib.writing(function(root, take)
  local records, names, places = {}, {}, {}
  for at = 1, lib.number(take()) do
    local word, name = take(), take()
    local kind = lib.kinds[word]
    if not kind then error('no such kind') end
    records[at] = { kind = kind, name = name, to = kind.take(take) }
    local whole = word .. ' ' .. name
    if names[whole] then return { 'THERE', at } end
    names[whole] = true
  end
  -- Names before places: of a call that is sent again because its answer was lost, everything is there.
  for at, record in ipairs(records) do
    if not record.kind.moves and record.kind.row(root, record.name) then return { 'THERE', at } end
  end
  for _, record in ipairs(records) do
    for _, item in ipairs(type(record.to) == 'table' and record.to.chain or {}) do
      local place = string.format('%.0f', item.position)
      if places[place] or call('ZCOUNT', root .. ':feed', place, place) > 0 then return { 'PLACE', place } end
      places[place] = true
    end
  end
  for _, record in ipairs(records) do record.kind.put(root, record.name, record.to) end
  return { 'PUT' }, #records > 0
end)

-- claims before, changes before, ids before, limit of each: how many of each went.
writes.sweep = lib.writing(function(root, take)
  local claims, changes, gone, limit = take(), take(), take(), lib.number(take())
  lib.number(claims)
  lib.number(changes)
  lib.number(gone)
  local keys = lib.sweep_keys(root, claims, limit)
  local targets = lib.sweep_changes(root, changes, limit)
  local ids = call('ZRANGEBYSCORE', root .. ':gone', '-inf', '(' .. gone, 'LIMIT', 0, limit)
  for _, id in ipairs(ids) do call('ZREM', root .. ':gone', id) end
  return { keys, targets, #ids }, keys + targets + #ids > 0
end)
