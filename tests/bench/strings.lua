local function build(n)
  local parts = {}
  for i = 0, n - 1 do parts[#parts + 1] = "item " .. i end
  return table.concat(parts, ",")
end
local function grow(n)
  local s = ""
  for i = 0, n - 1 do s = s .. "x" end
  return s
end
print(#build(300000), #grow(20000))
