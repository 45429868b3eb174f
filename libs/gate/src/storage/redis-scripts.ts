/**
 * Writes what has changed, and extends the life, in one step: two gates that store for one user lose nothing of each
 * other. What is not this user's hash is moved aside first; the answer is 1 then.
 * KEYS: the user, aside. ARGV: ttl, owner, 1 to clear first, length of the pairs, pairs…, keys to delete…
 */
export const STORE_SCRIPT = `
local user, moved = KEYS[1], 0
local kind = redis.call('TYPE', user).ok
if kind ~= 'none' and (kind ~= 'hash' or redis.call('HGET', user, '') ~= ARGV[2]) then
  redis.call('RENAME', user, KEYS[2])
  moved = 1
end
if ARGV[3] == '1' then redis.call('DEL', user) end
local last = 4 + tonumber(ARGV[4])
for i = last + 1, #ARGV do redis.call('HDEL', user, ARGV[i]) end
redis.call('HSET', user, '', ARGV[2])
for i = 5, last, 1000 do redis.call('HSET', user, unpack(ARGV, i, math.min(i + 999, last))) end
redis.call('PEXPIRE', user, ARGV[1])
return moved`;

/**
 * Moves a user's data aside when it still is what was found to be unusable: not a hash, or a field with these bytes. The
 * answer is 1 when it was.
 * KEYS: the user, aside. ARGV: field, 1 when the field was there, its bytes.
 */
export const MOVE_ASIDE_SCRIPT = `
local kind = redis.call('TYPE', KEYS[1]).ok
if kind == 'none' then return 0 end
if kind == 'hash' then
  local found = redis.call('HGET', KEYS[1], ARGV[1])
  if (ARGV[2] == '1' and found ~= ARGV[3]) or (ARGV[2] == '0' and found) then return 0 end
end
redis.call('RENAME', KEYS[1], KEYS[2])
return 1`;
