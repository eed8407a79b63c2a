-- Words of people for a run, `signals:RUN`: one field for each, by its id.

-- run, id, at, signal.
writes.put_signal = lib.writing(function(root, take)
  local id, name, at, signal = take(), take(), take(), take()
  lib.number(at)
  local run = lib.run(root, id)
  if not run.status then return { 'MISSING' } end
  local key = root .. ':signals:' .. id
  if call('HEXISTS', key, name) == 1 then return { 'ALREADY' } end
  if run.status == 'settled' then return { 'OVER' } end
  call('HSET', key, name, signal)
  lib.change(root, id, run, {
    status = 'open', wake = lib.earlier(run.wake, at), woken = lib.earlier(run.woken, at),
  })
  return { 'NEW' }, true
end)

-- run: id and signal of each, in no order.
reads.signals = lib.reading(function(root, take)
  return call('HGETALL', root .. ':signals:' .. take())
end)
