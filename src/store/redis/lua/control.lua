-- What belongs to the whole instance, in the control partition.

-- switches, empty when none is set.
writes.set_switches = lib.writing(function(root, take)
  local switches = take()
  if switches == '' then return {}, call('DEL', root .. ':switches') == 1 end
  call('SET', root .. ':switches', switches)
  return {}, true
end)

reads.switches = lib.reading(function(root)
  return { call('GET', root .. ':switches') }
end)

-- name, principal.
writes.put_principal = lib.writing(function(root, take)
  local name, principal = take(), take()
  call('HSET', root .. ':principals', name, principal)
  return {}, true
end)

-- Name and record of each, in no order.
reads.principals = lib.reading(function(root)
  return call('HGETALL', root .. ':principals')
end)

-- digest, bytes.
writes.put_bundle = lib.writing(function(root, take)
  local digest, bytes = take(), take()
  if call('SETNX', root .. ':bundle:' .. digest, bytes) == 0 then return {} end
  call('ZADD', root .. ':bundles', 0, digest)
  return {}, true
end)

-- digest.
writes.forget_bundle = lib.writing(function(root, take)
  local digest = take()
  if call('ZREM', root .. ':bundles', digest) == 0 then return {} end
  call('DEL', root .. ':bundle:' .. digest)
  return {}, true
end)

-- Digests of all, in order.
reads.bundles = lib.reading(function(root)
  return call('ZRANGE', root .. ':bundles', 0, -1)
end)

-- digest.
reads.bundle = lib.reading(function(root, take)
  return { call('GET', root .. ':bundle:' .. take()) }
end)

local function put_secret(root, handle, sealed)
  call('HSET', root .. ':secrets', handle, sealed)
  call('ZADD', root .. ':secrets:names', 0, handle)
end

-- handle, sealed.
writes.put_secret = lib.writing(function(root, take)
  local handle, sealed = take(), take()
  put_secret(root, handle, sealed)
  return {}, true
end)

-- handle.
reads.secret = lib.reading(function(root, take)
  return { call('HGET', root .. ':secrets', take()) }
end)

-- Writes: the generation grows, which is what shows that the server takes a write.
writes.probe = lib.writing(function()
  return {}, true
end)

-- Why the store is not to be served, empty when there is no reason.
writes.set_mark = lib.writing(function(root, take)
  local mark = take()
  if mark == '' then return {}, call('DEL', root .. ':mark') == 1 end
  call('SET', root .. ':mark', mark)
  return {}, true
end)

reads.mark = lib.reading(function(root)
  return { call('GET', root .. ':mark') }
end)

-- One text as it comes, which is the whole record but its name.
local function text(take)
  return take()
end

lib.kinds.switches = {
  names = function(root, after)
    if after or call('EXISTS', root .. ':switches') == 0 then return {} end
    return { '' }
  end,
  row = function(root)
    local switches = call('GET', root .. ':switches')
    return switches and { switches }
  end,
  take = text,
  put = function(root, _, switches) call('SET', root .. ':switches', switches) end,
}

lib.kinds.principal = {
  names = function(root, after, limit) return lib.keys(root .. ':principals', after, limit) end,
  row = function(root, name)
    local principal = call('HGET', root .. ':principals', name)
    return principal and { principal }
  end,
  take = text,
  put = function(root, name, principal) call('HSET', root .. ':principals', name, principal) end,
}

lib.kinds.secret = {
  names = function(root, after, limit) return lib.named(root .. ':secrets:names', after, limit) end,
  row = function(root, handle)
    local sealed = call('HGET', root .. ':secrets', handle)
    return sealed and { handle, sealed }
  end,
  take = text,
  put = put_secret,
}

lib.kinds.bundle = {
  names = function(root, after, limit) return lib.named(root .. ':bundles', after, limit) end,
  row = function(root, digest)
    local bytes = call('GET', root .. ':bundle:' .. digest)
    return bytes and { digest, bytes }
  end,
  take = text,
  put = function(root, digest, bytes)
    call('SET', root .. ':bundle:' .. digest, bytes)
    call('ZADD', root .. ':bundles', 0, digest)
  end,
}
