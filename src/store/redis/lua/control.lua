-- What belongs to the whole instance, in the control partition.

-- switches.
writes.set_switches = lib.writing(function(root, take)
  call('SET', root .. ':switches', take())
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
  return {}, call('SETNX', root .. ':bundle:' .. digest, bytes) == 1
end)

-- digest.
reads.bundle = lib.reading(function(root, take)
  return { call('GET', root .. ':bundle:' .. take()) }
end)

-- handle, sealed.
writes.put_secret = lib.writing(function(root, take)
  local handle, sealed = take(), take()
  call('HSET', root .. ':secrets', handle, sealed)
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
