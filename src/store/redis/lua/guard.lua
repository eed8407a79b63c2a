-- What the lost-write detector keeps. These answer whether the partition is parked or not.

-- guard_standing() -> generation, then the fields of the marker, none when it is not parked.
reads.guard_standing = function(p, a)
  local answer = ok()
  for _, part in ipairs(redis.call('HGETALL', p .. ':lost')) do
    answer[#answer + 1] = part
  end
  return answer
end

-- guard_ready(): nothing, where a write would be taken.
writes.guard_ready = function(p, a)
  return ok()
end
