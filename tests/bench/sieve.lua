local function sieve(n)
  local prime = {}
  for i = 0, n - 1 do prime[i] = true end
  local count = 0
  for i = 2, n - 1 do
    if prime[i] then
      count = count + 1
      local j = i * i
      while j < n do
        prime[j] = false
        j = j + i
      end
    end
  end
  return count
end
local total = 0
for _ = 1, 5 do total = total + sieve(1000000) end
print(total)
