local function count(n)
  local s = 0
  for i = 0, n - 1 do
    for j = 0, n - 1 do s = s + (i * j) % 7 end
  end
  return s
end
local function mandel(n)
  local inside = 0
  for py = 0, n - 1 do
    for px = 0, n - 1 do
      local cx = 3.0 * px / n - 2.0
      local cy = 2.0 * py / n - 1.0
      local x, y, k = 0.0, 0.0, 0
      while k < 50 and x * x + y * y <= 4.0 do
        local t = x * x - y * y + cx
        y = 2.0 * x * y + cy
        x = t
        k = k + 1
      end
      if k == 50 then inside = inside + 1 end
    end
  end
  return inside
end
print(count(3000), mandel(300))
