#!lua flags=allow-oom
-- Reads the stream of a room that has members, and keeps it from expiring.
--
-- KEYS: the stream, and its state
-- ARGV: for how many milliseconds to keep both, the id of the first entry to read or "" for the newest
--   entries, and the maximum number and size in bytes of the entries
-- Returns the epoch, the number of the last message, the time, and the entries: from the first to the last,
--   or from the newest to an older one. There is one more than the size allows.

local stream, meta = KEYS[1], KEYS[2]
local age, from, max_count, max_bytes = ARGV[1], ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4])
local time = redis.call('TIME')
local now = string.format('%.0f', time[1] * 1000 + math.floor(time[2] / 1000))
local function number_of(text)
  -- From 2^53 on, neither Lua nor pages can count.
  return text and string.find(text, '^%d+$') and tonumber(text) < 9e15 and text
end
local known = redis.call('HMGET', meta, 'epoch', 'seq')
local epoch, seq = number_of(known[1]), number_of(known[2])
if not (epoch and seq) then
  redis.call('DEL', stream)
  epoch, seq = string.format('%.0f', math.max(now, (epoch or 0) + 1)), '0'
  redis.call('HSET', meta, 'epoch', epoch, 'seq', seq)
end
redis.call('PEXPIRE', stream, age)
redis.call('PEXPIRE', meta, age)

-- What is not between these was added by something else.
local first, last = epoch .. '-1', epoch .. '-' .. seq
local entries, bytes, at = {}, 0, from
while #entries < max_count and bytes < max_bytes do
  local count = math.min(32, max_count - #entries)
  local found
  if from == '' then
    found = redis.call('XREVRANGE', stream, at == '' and last or '(' .. at, first, 'COUNT', count)
  else
    found = redis.call('XRANGE', stream, at == from and at or '(' .. at, last, 'COUNT', count)
  end
  for _, entry in ipairs(found) do
    if bytes >= max_bytes then break end
    entries[#entries + 1] = entry
    -- The first one is known already, and must not keep others out.
    if entry[1] ~= from then bytes = bytes + #entry[2][2] end
    at = entry[1]
  end
  if #found < count then break end
end
return { epoch, tonumber(seq), now, entries }
