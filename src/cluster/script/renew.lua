#!lua flags=allow-oom
-- Begins a new epoch of a room whose stream has lost messages that its members have received.
--
-- KEYS: the stream, and its state
-- ARGV: the epoch that has lost them, the last epoch that members have seen, for how many milliseconds to keep
--   the room, and when the last message was added that they have received, or "". Later ones are carried over.
-- Returns the epoch and the number of the last message, which are those of another process if it came first.

local stream, meta = KEYS[1], KEYS[2]
local lost, floor, age, after = ARGV[1], ARGV[2], ARGV[3], tonumber(ARGV[4])
local known = redis.call('HMGET', meta, 'epoch', 'seq')
if known[1] and known[1] ~= lost then return { known[1], tonumber(known[2]) } end

local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local epoch = string.format('%.0f', math.max(now, floor + 1))
local carried, from = {}, '+'
while known[1] and after do
  local found = redis.call('XREVRANGE', stream, from, '-', 'COUNT', 32)
  for _, entry in ipairs(found) do
    local fields = entry[2]
    local at = fields[5] == 'at' and tonumber(fields[6])
    if not at or at <= after or #carried >= 1000 then found = {} break end
    carried[#carried + 1] = fields
    from = '(' .. entry[1]
  end
  if #found < 32 then break end
end

redis.call('DEL', stream)
for i = #carried, 1, -1 do
  redis.call('XADD', stream, epoch .. '-' .. (#carried - i + 1), unpack(carried[i]))
end
redis.call('HSET', meta, 'epoch', epoch, 'seq', #carried)
redis.call('PEXPIRE', stream, age)
redis.call('PEXPIRE', meta, age)
local head = table.concat({ epoch, #carried + 1, 0, string.format('%.0f', now) }, ' ')
redis.call('SPUBLISH', stream, head .. '\n')
return { epoch, #carried }
