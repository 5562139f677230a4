#!lua
-- Publishes messages in a room: appends them to its stream, trims the stream, and sends them to the processes
-- that have members of the room. It does all of that, or nothing.
--
-- KEYS: the stream, townhall:{ROOM}, and its state, townhall:{ROOM}:meta
-- ARGV: "text" or "binary", and the message. The rest is for townhall itself: its process, the number of the
--   message there, how many messages to keep, for how many milliseconds, and the kind, the message and the
--   number of each further one.
-- Returns the epoch and the number of the first message.

local stream, meta = KEYS[1], KEYS[2]
local process, number = ARGV[3] or '-', ARGV[4] or '0'
local known = redis.call('HMGET', meta, 'epoch', 'seq', 'keep', 'age', process)
local epoch, before = known[1], tonumber(known[2])
local keep, age = ARGV[5] or known[3] or '1000', ARGV[6] or known[4] or '300000'
local last = #ARGV > 6 and ARGV[#ARGV] or number

-- The process repeats what it has not seen the answer to.
if known[5] then
  local done, its_epoch, its_first = string.match(known[5], '^(%d+) (%d+) (%d+)')
  if tonumber(last) <= tonumber(done) then return { its_epoch, tonumber(its_first) } end
end

local time = redis.call('TIME')
local now = string.format('%.0f', time[1] * 1000 + math.floor(time[2] / 1000))
if not epoch then
  redis.call('DEL', stream)
  epoch, before = now, 0
end

local seq, sent = before, {}
local function append(kind, message, its_number)
  seq = seq + 1
  local from = process == '-' and '-' or process .. '.' .. its_number
  redis.call('XADD', stream, 'MAXLEN', '~', keep, epoch .. '-' .. string.format('%.0f', seq),
    kind, message, 'from', from, 'at', now)
  sent[#sent + 1] = kind .. ' ' .. from .. ' ' .. #message .. '\n' .. message
end
append(ARGV[1], ARGV[2], number)
for i = 7, #ARGV, 3 do append(ARGV[i], ARGV[i + 1], ARGV[i + 2]) end

local first = string.format('%.0f', before + 1)
redis.call('HSET', meta, 'epoch', epoch, 'seq', string.format('%.0f', seq), 'keep', keep, 'age', age)
if process ~= '-' then
  redis.call('HSET', meta, process, last .. ' ' .. epoch .. ' ' .. first .. ' ' .. now)
  if not known[5] and redis.call('HLEN', meta) > 64 then
    -- Processes that ended long ago repeat nothing.
    local fields = redis.call('HGETALL', meta)
    for i = 1, #fields, 2 do
      local at = string.match(fields[i + 1], '^%d+ %d+ %d+ (%d+)$')
      if at and now - at > 3600000 then redis.call('HDEL', meta, fields[i]) end
    end
  end
end
redis.call('PEXPIRE', stream, age)
redis.call('PEXPIRE', meta, age)
local head = table.concat({ epoch, first, #sent, now }, ' ')
redis.call('SPUBLISH', stream, head .. '\n' .. table.concat(sent))
return { epoch, before + 1 }
