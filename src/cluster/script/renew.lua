#!lua flags=allow-oom
-- Begins a new epoch of a room whose stream has lost messages that its members have received.
--
-- KEYS: the stream, and its state
-- ARGV: the epoch that has lost them, the last epoch that members have seen, and for how many milliseconds to
--   keep the state
-- Returns the epoch and the number of the last message, which are those of another process if it came first.

local stream, meta = KEYS[1], KEYS[2]
local lost, floor, age = ARGV[1], ARGV[2], ARGV[3]
local known = redis.call('HMGET', meta, 'epoch', 'seq')
if known[1] and known[1] ~= lost then return { known[1], tonumber(known[2]) } end

local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local epoch = string.format('%.0f', math.max(now, floor + 1))
redis.call('DEL', stream)
redis.call('HSET', meta, 'epoch', epoch, 'seq', '0')
redis.call('PEXPIRE', meta, age)
redis.call('SPUBLISH', stream, epoch .. ' 1 0 ' .. string.format('%.0f', now) .. '\n')
return { epoch, 0 }
